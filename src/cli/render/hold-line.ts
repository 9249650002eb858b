/** The hold on a time line, drawn in characters. */

import { formatMs } from '../../base/text.ts'
import { heldMs, type Evidence, type WriterEvidence } from '../../consistency/mod.ts'

/** One bar of the drawing; times by one clock whose zero does not matter. */
export interface Span {
  readonly label: string
  readonly startMs: number
  readonly endMs: number
  readonly note: string
  readonly mark: string
}

export const LINE_WIDTH = 50

/**
 * The spans of a hold under one another, each where and as long as it was; a span that is too
 * short to be drawn takes one character.
 */
export function drawSpans(spans: readonly Span[]): readonly string[] {
  const startMs = Math.min(...spans.map((span) => span.startMs))
  const endMs = Math.max(...spans.map((span) => span.endMs))
  const scale = endMs > startMs ? LINE_WIDTH / (endMs - startMs) : 0
  const label = Math.max(...spans.map((span) => span.label.length))
  const ruler = `0${formatMs(endMs - startMs).padStart(LINE_WIDTH - 1)}`
  return [
    `${' '.repeat(label)}  ${ruler}`,
    ...spans.map((span) => {
      const from = Math.min(LINE_WIDTH - 1, Math.floor((span.startMs - startMs) * scale))
      const end = Math.min(LINE_WIDTH, Math.round((span.endMs - startMs) * scale))
      const to = Math.max(from + 1, end)
      const bar = `${' '.repeat(from)}${span.mark.repeat(to - from)}`
      return `${span.label.padEnd(label)} |${bar.padEnd(LINE_WIDTH)}| ${span.note}`.trimEnd()
    }),
  ]
}

/** What was measured of a hold of ours; empty where nothing was held by us. */
export function holdSpans({ hold, instant, applications }: Evidence): readonly Span[] {
  if (hold.by !== 'requestor') return []
  const { freeze, thaw } = hold
  const frozenMs = freeze.state === 'acknowledged' ? freeze.acknowledgedMs : freeze.failedMs
  const length = heldMs(hold)
  const spans: Span[] = [
    span('asking to freeze', freeze.issuedMs, frozenMs, '>',
      freeze.state === 'acknowledged' ? `${freeze.count} frozen` : 'FAILED'),
    span('snapshot', instant.startMs, instant.endMs, '*', ''),
  ]
  if (thaw.state === 'thawed') {
    spans.push(span('thawing', thaw.issuedMs, thaw.acknowledgedMs, '<',
      thaw.early ? 'TOO EARLY, by the guardian'
        : thaw.count === null ? 'no count stated' : `${thaw.count} thawed`))
  }
  if (length !== null && freeze.state === 'acknowledged') {
    spans.push(span('writes held', freeze.acknowledgedMs, thaw.issuedMs, '#', ''))
  }
  const { discovery } = applications
  const writers = discovery.state === 'done' ? discovery.applications : []
  return [...spans, ...writers.flatMap(({ name, writer }) => writerSpan(name, writer))]
}

function span(label: string, startMs: number, endMs: number, mark: string, note: string): Span {
  const length = formatMs(Math.max(0, endMs - startMs))
  return { label, startMs, endMs, mark, note: note === '' ? length : `${length}, ${note}` }
}

function writerSpan(name: string, writer: WriterEvidence): readonly Span[] {
  if (writer.contract !== 'held' && writer.contract !== 'recoverable') return []
  if (writer.freeze.state !== 'acknowledged') return []
  return [span(`${name} held`, writer.freeze.acknowledgedMs, writer.thaw.issuedMs, '#', '')]
}
