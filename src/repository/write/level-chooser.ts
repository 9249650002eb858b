/** How hard each chunk is compressed: as hard as is repaid. */

import { zstdCompress } from '../format/zstd.ts'
import { release } from '../release.ts'

const QUICK_LEVEL = 2
/** 256 KiB: what it looks through stays in the cache, which takes a sixth less. */
const QUICK_WINDOW_LOG = 18
/** The default level is worth its time where it takes away so much of what the quick one leaves. */
const WORTH = 0.005
/** Chunks from one trial to the next: twice as many each time, unless what it says has changed. */
const MOST_PAUSE = 64
const PAUSE_AFTER_CHANGE = 16

/**
 * Compresses by level 3, as restic does, or by level 2 with a small window where that gives as
 * much, which takes a third less: noise, and many logs and tables. Now and then a chunk is tried
 * by both, which costs 1 to 3 % of zstd's time; two trials in a row must have said that the quick
 * one is enough.
 */
export class LevelChooser {
  #pause = 1
  #untilTrial = 0
  #isQuick = false
  #wasEnough: boolean | undefined

  /** One frame, which may be longer than the chunk. */
  compress(chunk: Uint8Array): Uint8Array<ArrayBuffer> {
    if (this.#untilTrial === 0) return this.#try(chunk)
    this.#untilTrial--
    return this.#isQuick ? compressQuickly(chunk) : zstdCompress(chunk)
  }

  /** The shorter of both. */
  #try(chunk: Uint8Array): Uint8Array<ArrayBuffer> {
    const quick = compressQuickly(chunk)
    const thorough = zstdCompress(chunk)
    // What gets longer is stored as it is.
    const left = Math.min(quick.length, chunk.length)
    this.#learn(left - Math.min(thorough.length, chunk.length) <= left * WORTH)
    const [shorter, longer] = thorough.length < quick.length ? [thorough, quick] : [quick, thorough]
    release(longer)
    return shorter
  }

  #learn(isEnough: boolean): void {
    const hasChanged = this.#wasEnough !== undefined && this.#wasEnough !== isEnough
    this.#pause = hasChanged ? PAUSE_AFTER_CHANGE : Math.min(MOST_PAUSE, this.#pause * 2)
    this.#untilTrial = this.#pause - 1
    this.#isQuick = isEnough && this.#wasEnough === true
    this.#wasEnough = isEnough
  }
}

function compressQuickly(chunk: Uint8Array): Uint8Array<ArrayBuffer> {
  return zstdCompress(chunk, QUICK_LEVEL, QUICK_WINDOW_LOG)
}
