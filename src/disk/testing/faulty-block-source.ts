/** A BlockSource that fails as disks do, by seed: the same seed fails the same way. */

import type { Clock } from '../../base/clock.ts'
import { Fault, type FaultCode } from '../../base/fault.ts'
import { seededRandom } from '../../base/random.ts'
import type { BlockSource } from '../block-source.ts'
import type { Extent, Range } from '../extents.ts'

export interface DiskTrouble {
  readonly seed: number
  /** The share of calls that fail, 0 to 1. */
  readonly errorRate?: number
  /** What they fail with; default `disk-unreadable`. */
  readonly errorCode?: FaultCode
  /** From this many calls on every call fails with `disk-lost`. */
  readonly lostAfter?: number
  /** Each call takes up to this long on `clock`. */
  readonly delayMs?: number
  /**
   * The share of reads that return a byte too few: no true source may, so whoever reads should be
   * tested with it too.
   */
  readonly shortReadRate?: number
}

/** `source` with `trouble`; disposing it disposes `source`. */
export function faultyBlockSource(
  source: BlockSource, trouble: DiskTrouble, clock: Clock): BlockSource {
  const random = seededRandom(trouble.seed)
  const chance = (rate = 0): boolean => {
    const [a = 0, b = 0] = random(4)
    return (a * 256 + b) / 65_536 < rate
  }
  let calls = 0
  const suffer = async (what: string, signal: AbortSignal): Promise<void> => {
    const mine = calls++
    const fails = chance(trouble.errorRate)
    const delayMs = (random(1)[0] ?? 0) / 256 * (trouble.delayMs ?? 0)
    if (delayMs > 0) await clock.sleep(delayMs, signal)
    if (mine >= (trouble.lostAfter ?? Infinity)) {
      throw new Fault('disk-lost', `${source.name} is lost`)
    }
    const { errorCode = 'disk-unreadable' } = trouble
    if (fails) throw new Fault(errorCode, `${source.name}: ${what} failed`)
  }
  async function* extents(range: Range, signal: AbortSignal): AsyncGenerator<Extent> {
    for await (const extent of source.extents?.(range, signal) ?? []) {
      await suffer('extents', signal)
      yield extent
    }
  }
  return {
    name: source.name,
    sizeBytes: source.sizeBytes,
    read: async (offset, length, signal) => {
      await suffer(`read at ${offset}`, signal)
      const isShort = chance(trouble.shortReadRate) && length > 0
      const bytes = await source.read(offset, length, signal)
      return isShort ? bytes.slice(0, -1) : bytes
    },
    ...(source.extents === undefined ? {} : { extents }),
    [Symbol.asyncDispose]: () => source[Symbol.asyncDispose](),
  }
}
