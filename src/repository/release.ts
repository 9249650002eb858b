/** Gives large buffers back at once instead of when the collector comes by. */

/** Node keeps short ones together in pools of this size, where one cannot be freed alone. */
const POOL_BYTES = 64 * 1024

/**
 * Frees the memory of a large buffer that nothing else uses; a short one is left to the collector.
 * Afterwards `bytes` is empty. Buffers of half a megabyte a chunk would otherwise make V8 mark the
 * whole heap again and again, which took a tenth of a backup's processor time.
 */
export function release(bytes: Uint8Array<ArrayBuffer>): void {
  if (bytes.buffer.byteLength > POOL_BYTES) bytes.buffer.transfer(0)
}
