/** The time line of a hold, drawn in characters. */

import { formatMs } from '../../base/text.ts'
import { legendOf, SEGMENT_WORDS, type SegmentKind, type TimelineRow } from './hold-timeline.ts'

export const LINE_WIDTH = 50

const MARKS: Readonly<Record<SegmentKind, string>> = {
  asking: '>', held: '#', watched: '=', releasing: '<', snapshot: '*',
}

/**
 * The rows under one another, each segment where and as long as it was; one that is too short to
 * be drawn takes one character, if the row has room for it. Below, what the characters mean.
 */
export function drawTimeline(rows: readonly TimelineRow[]): readonly string[] {
  if (rows.length === 0) return []
  const all = rows.flatMap(({ segments }) => segments)
  const startMs = Math.min(...all.map((segment) => segment.startMs))
  const endMs = Math.max(...all.map((segment) => segment.endMs))
  const scale = endMs > startMs ? LINE_WIDTH / (endMs - startMs) : 0
  const label = Math.max(...rows.map((row) => row.label.length))
  const column = (ms: number): number => (ms - startMs) * scale
  const legend = legendOf(rows).map((kind) => `${MARKS[kind]} ${SEGMENT_WORDS[kind]}`)
  return [
    `${' '.repeat(label)}  0${formatMs(endMs - startMs).padStart(LINE_WIDTH - 1)}`,
    ...rows.map((row) => {
      const bar = barOf(row, column).padEnd(LINE_WIDTH)
      return `${row.label.padEnd(label)} |${bar}| ${row.note}`.trimEnd()
    }),
    `${' '.repeat(label)}  ${legend.join('   ')}`,
  ]
}

/** Later segments follow the earlier ones: what was held is never hidden by what was short. */
function barOf({ segments }: TimelineRow, column: (ms: number) => number): string {
  let bar = ''
  for (const { kind, startMs, endMs } of segments) {
    const from = Math.max(bar.length, Math.min(LINE_WIDTH - 1, Math.floor(column(startMs))))
    const to = Math.min(LINE_WIDTH, Math.max(from + 1, Math.round(column(endMs))))
    if (from < to) bar = bar.padEnd(from) + MARKS[kind].repeat(to - from)
  }
  return bar
}
