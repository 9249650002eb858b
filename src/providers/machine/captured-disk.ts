/** A disk of the captured instant, read over NBD: says when the instant is lost, and why. */

import type { Clock } from '../../base/clock.ts'
import { Fault, isFault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import { connectNbd, type BlockSource } from '../../disk/mod.ts'
import { isFull } from './scratch-space.ts'

export interface CapturedDiskOptions {
  readonly socketPath: string
  /** The disk's id, which is its export's name. */
  readonly id: string
  readonly sizeBytes: number
  /** Where its overlay lies, to tell a full scratch file from other losses; if it has one. */
  readonly scratchFolder: string | undefined
  /** The exported bitmap with what changed since the disk's base; undefined without a base. */
  readonly bitmap: string | undefined
  /** Why we gave the capture up ourselves, once we have. */
  readonly givenUp: () => Fault | undefined
}

/**
 * Opens the export. Once the instant is lost QEMU refuses every read, so no read ever shows
 * anything but the instant. Faults of its calls: those of a BlockSource, `snapshot-broken`,
 * `scratch-full`.
 */
export async function openCapturedDisk(
  options: CapturedDiskOptions, clock: Clock, signal: AbortSignal): Promise<BlockSource> {
  const { bitmap } = options
  const context = `qemu:dirty-bitmap:${bitmap}`
  const explained = <T>(work: Promise<T>): Promise<T> =>
    work.catch(async (error: unknown) => { throw await explain(error, options) })
  const source = await explained(connectNbd({
    socketPath: options.socketPath, exportName: options.id,
    ...(bitmap === undefined ? {} : { contexts: [context] }) }, clock, signal))
  if (source.sizeBytes !== options.sizeBytes) {
    await source[Symbol.asyncDispose]()
    throw new Fault('snapshot-failed', `disk ${options.id} changed its size while it was captured`,
      { retry: 'now', advice: 'Run the backup again.' })
  }
  const disk: BlockSource = {
    name: `disk ${options.id} as captured`,
    sizeBytes: source.sizeBytes,
    read: (...args) => explained(source.read(...args)),
    ...(bitmap === undefined ? {} : {
      changes: (range, signal) =>
        eachExplained(source.dirtyExtents(context, range, signal), explained),
    }),
    [Symbol.asyncDispose]: () => source[Symbol.asyncDispose](),
  }
  if (source.extents === undefined) return disk
  const extents = source.extents.bind(source)
  return { ...disk, extents: (range, signal) => eachExplained(extents(range, signal), explained) }
}

async function* eachExplained<Found>(
  items: AsyncIterable<Found>, explained: <T>(work: Promise<T>) => Promise<T>,
): AsyncGenerator<Found, void, undefined> {
  const found = items[Symbol.asyncIterator]()
  try {
    for (;;) {
      const next = await explained(found.next())
      if (next.done === true) return
      yield next.value
    }
  } finally {
    await found.return?.()
  }
}

async function explain(error: unknown, options: CapturedDiskOptions): Promise<unknown> {
  if (!isFault(error, 'disk-unreadable', 'disk-lost', 'nbd-refused')) return error
  const { id, scratchFolder } = options
  const givenUp = options.givenUp()
  if (givenUp !== undefined) return givenUp
  if (scratchFolder !== undefined && await isFull(scratchFolder)) {
    return new Fault('scratch-full',
      `the scratch space in ${printable(scratchFolder)} ran out before disk ${id} was read`, {
        cause: error, retry: 'later',
        advice: 'The machine went on undisturbed. Free space there, or name a larger folder.',
      })
  }
  return new Fault('snapshot-broken', `the captured instant of disk ${id} can no longer be read`, {
    cause: error, retry: 'later',
    advice: 'The machine went on undisturbed. Look at its log, and run the backup again.' })
}
