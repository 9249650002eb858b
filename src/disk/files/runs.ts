/** Bytes of a file from the runs of blocks that it lies in. */

/** Reads blocks of a file system. Fault: `disk-unreadable` where it does not have them. */
export interface Blocks {
  readonly blockBytes: number
  read(block: number, count: number): Promise<Buffer>
}

/** A run of a file's blocks; without `physical` it is a hole, which reads as zeros. */
export interface Run {
  readonly physical: number | undefined
  readonly blocks: number
}

/** A file is read that much at once. */
const RUN_BYTES = 512 * 1024

/** `find`: the run that a block of the file lies in, from that block on. */
export async function readRuns(
  find: (block: number) => Promise<Run>,
  { sizeBytes, offset, length }: Readonly<Record<'sizeBytes' | 'offset' | 'length', number>>,
  blocks: Blocks): Promise<Buffer> {
  const { blockBytes } = blocks
  const result = Buffer.alloc(Math.max(0, Math.min(length, sizeBytes - offset)))
  for (let done = 0; done < result.length;) {
    const at = offset + done
    const within = at % blockBytes
    const wanted = Math.ceil(Math.min(result.length - done + within, RUN_BYTES) / blockBytes)
    const run = await find(Math.floor(at / blockBytes))
    const count = Math.min(run.blocks, wanted)
    if (run.physical !== undefined) {
      const bytes = await blocks.read(run.physical, count)
      bytes.copy(result, done, within)
    }
    done += count * blockBytes - within
  }
  return result
}

/** Up to where the next run begins. */
export function hole(from: number, end: number): Run {
  return { physical: undefined, blocks: Math.max(1, end - from) }
}
