/** A progress bar on stderr, drawn only on a terminal. */

import { SingleBar } from 'cli-progress'
import type { Clock } from '../base/clock.ts'
import { progressLine, type Progress } from './render/progress-line.ts'

export interface Bar {
  /** False where nothing is ever drawn. */
  readonly isShown: boolean
  /** Draws the bar of `progress.what`, or moves it. */
  show(progress: Progress): void
  /** Takes the bar off the screen; the next `show` draws it again. */
  clear(): void
  /** Takes it off for good. */
  close(): void
}

/** A bar is worth drawing ten times a second at most, over a slow line too. */
const FRAMES_A_SECOND = 5
/** What the rate is taken over: long enough not to flicker, short enough to show a stall. */
const RATE_WINDOW_MS = 8_000
const LEAST_WINDOW_MS = 500

const NO_BAR: Bar = { isShown: false, show: () => {}, clear: () => {}, close: () => {} }

export function createBar(stream: NodeJS.WriteStream | undefined, clock: Clock): Bar {
  if (stream === undefined) return NO_BAR
  let drawn: SingleBar | undefined
  let rate = createRate(clock)
  let current: Progress | undefined
  let isClosed = false
  const clear = (): void => {
    drawn?.stop()
    drawn = undefined
  }
  return {
    isShown: true,
    clear,
    close: () => {
      clear()
      isClosed = true
    },
    show: (progress) => {
      if (isClosed) return
      if (current?.what !== progress.what) {
        clear()
        rate = createRate(clock)
      }
      current = progress
      rate.add(progress.done)
      drawn ??= startBar(stream, () =>
        current === undefined ? '' : progressLine(current, rate.perSecond(), stream.columns))
      drawn.update(progress.done)
      drawn.setTotal(Math.max(1, progress.total ?? 1))
    },
  }
}

function startBar(stream: NodeJS.WriteStream, line: () => string): SingleBar {
  const bar = new SingleBar({
    stream, format: line, fps: FRAMES_A_SECOND, clearOnComplete: true,
    // The terminal's modes stay as they are, so that nothing is left to restore when we are killed.
    hideCursor: null, linewrap: true,
    // The program itself listens to signals.
    gracefulExit: false,
  })
  bar.start(1, 0)
  return bar
}

interface Rate {
  add(done: number): void
  /** Undefined while too little is known. */
  perSecond(): number | undefined
}

function createRate(clock: Clock): Rate {
  const samples: { readonly atMs: number; readonly done: number }[] = []
  return {
    add: (done) => {
      const atMs = clock.monotonicMs()
      samples.push({ atMs, done })
      while (samples.length > 2 && atMs - (samples[0]?.atMs ?? 0) > RATE_WINDOW_MS) samples.shift()
    },
    perSecond: () => {
      const [first, last] = [samples[0], samples.at(-1)]
      if (first === undefined || last === undefined) return undefined
      const passedMs = last.atMs - first.atMs
      return passedMs < LEAST_WINDOW_MS ? undefined : (last.done - first.done) / (passedMs / 1000)
    },
  }
}
