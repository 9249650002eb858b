/** The time line of a hold as an image in the page. */

import { formatMs } from '../../base/text.ts'
import { legendOf, SEGMENT_WORDS, type SegmentKind, type TimelineRow } from './hold-timeline.ts'
import { html, type Html } from './html.ts'

const WIDTH = 960
const LABEL_WIDTH = 190
const ROW_HEIGHT = 34
const BAR_HEIGHT = 12
const HEAD_HEIGHT = 22
/** Also an instant must be seen. */
const LEAST_WIDTH = 2
/** About what a label has room for at 11 pixels. */
const LABEL_LENGTH = 30

const FILL: Readonly<Record<SegmentKind, string>> = {
  asking: '#c9b458', held: '#2b6cb0', watched: '#7fb3e6', releasing: '#b7a6c9', snapshot: '#c0392b',
}

export function drawTimelineSvg(rows: readonly TimelineRow[]): Html {
  if (rows.length === 0) return html``
  const all = rows.flatMap(({ segments }) => segments)
  const startMs = Math.min(...all.map((segment) => segment.startMs))
  const endMs = Math.max(...all.map((segment) => segment.endMs))
  const scale = endMs > startMs ? (WIDTH - LABEL_WIDTH) / (endMs - startMs) : 0
  const x = (ms: number): number => LABEL_WIDTH + (ms - startMs) * scale
  const height = HEAD_HEIGHT + rows.length * ROW_HEIGHT + HEAD_HEIGHT
  return html`<svg viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="The hold on a time line">
<text x="${LABEL_WIDTH}" y="12">0</text>
<text x="${WIDTH}" y="12" text-anchor="end">${formatMs(endMs - startMs)}</text>
${rows.map((row, at) => rowOf(row, HEAD_HEIGHT + at * ROW_HEIGHT, x))}${
  legendOf(rows).map((kind, at) => legendItem(kind, LABEL_WIDTH + at * 150, height - 8))}</svg>
`
}

function rowOf(row: TimelineRow, y: number, x: (ms: number) => number): Html {
  const label = row.label.length > LABEL_LENGTH
    ? `${row.label.slice(0, LABEL_LENGTH - 1)}…` : row.label
  return html`<text x="0" y="${y + BAR_HEIGHT - 2}">${label}</text>
<rect x="${LABEL_WIDTH}" y="${y}" width="${WIDTH - LABEL_WIDTH}" height="${BAR_HEIGHT}" \
fill="#eef1f5"/>
${row.segments.map(({ kind, startMs, endMs }) => {
  const width = Math.max(LEAST_WIDTH, x(endMs) - x(startMs))
  const from = Math.min(x(startMs), WIDTH - width)
  return html`<rect x="${from.toFixed(1)}" y="${y}" width="${width.toFixed(1)}" \
height="${BAR_HEIGHT}" fill="${FILL[kind]}"/>\n`
})}<text x="${LABEL_WIDTH}" y="${y + BAR_HEIGHT + 12}">${row.note}</text>
`
}

function legendItem(kind: SegmentKind, x: number, y: number): Html {
  return html`<rect x="${x}" y="${y - 9}" width="10" height="10" fill="${FILL[kind]}"/>
<text x="${x + 15}" y="${y}">${SEGMENT_WORDS[kind]}</text>
`
}
