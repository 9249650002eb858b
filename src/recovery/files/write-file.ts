/** A file out of an image into a file of this host: streamed, sparse, whole or not there. */

import { throwIfAborted } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import { writeFault } from '../../base/write-fault.ts'
import { isZero } from '../../base/zero.ts'
import {
  completePartial, createPartial, removePartial, replaceWithPartial, type ImageFile,
} from '../../disk/mod.ts'

const PIECE_BYTES = 1024 * 1024

/**
 * Zeros become holes. A fault or abort leaves nothing, and what was there as it was. Faults:
 * `already-exists` unless it replaces, `no-space`, `io-error`, those of reading.
 */
export async function writeImageFile(
  file: ImageFile, path: string, access: 'create' | 'replace',
  onProgress: (doneBytes: number) => void, signal: AbortSignal): Promise<void> {
  const { file: out, ...partial } = await createPartial(path, access)
  try {
    for (let at = 0; at < file.sizeBytes; at += PIECE_BYTES) {
      throwIfAborted(signal)
      const piece = await file.read(at, PIECE_BYTES)
      if (!isZero(piece)) await out.writev([piece], at)
      onProgress(Math.min(file.sizeBytes, at + PIECE_BYTES))
    }
    await out.truncate(file.sizeBytes)
    await out.sync()
    throwIfAborted(signal)
    await (access === 'replace' ? replaceWithPartial(partial) : completePartial(partial))
  } catch (error) {
    throw error instanceof Fault ? error : writeFault(path, error)
  } finally {
    await out.close()
    await removePartial(partial)
  }
}
