/** What was measured of a hold, as rows of a time line: for the terminal and the printed page. */

import { formatMs, printable } from '../../base/text.ts'
import {
  heldMs, type Evidence, type RequestorHold, type WriterEvidence,
} from '../../consistency/mod.ts'

/**
 * - `asking`: asked to hold still, not yet acknowledged.
 * - `held`: acknowledged, until it was asked to go on.
 * - `watched`: positions were recorded; nothing is locked (the contract `recoverable`).
 * - `releasing`: asked to go on, not yet acknowledged.
 * - `snapshot`: the set was taken within.
 */
export type SegmentKind = 'asking' | 'held' | 'watched' | 'releasing' | 'snapshot'

/** In the order in which a legend names them. */
export const SEGMENT_WORDS: Readonly<Record<SegmentKind, string>> = {
  asking: 'asked to hold', held: 'held', watched: 'watched, not locked', snapshot: 'snapshot',
  releasing: 'asked to go on',
}

/** The kinds that occur in `rows`, as a legend names them. */
export function legendOf(rows: readonly TimelineRow[]): readonly SegmentKind[] {
  const kinds = new Set<string>(rows.flatMap(({ segments }) => segments.map(({ kind }) => kind)))
  return SEGMENT_KINDS.filter((kind) => kinds.has(kind))
}

const SEGMENT_KINDS: readonly SegmentKind[] =
  ['asking', 'held', 'watched', 'snapshot', 'releasing']

/** Times by one clock whose zero does not matter. */
export interface Segment {
  readonly kind: SegmentKind
  readonly startMs: number
  readonly endMs: number
}

export interface TimelineRow {
  readonly label: string
  /** The measures in words. */
  readonly note: string
  /** In order of time; at least one. */
  readonly segments: readonly Segment[]
}

/** Applications, file systems and the snapshot, by the time they began; empty without our hold. */
export function holdTimeline({ hold, instant, applications }: Evidence): readonly TimelineRow[] {
  if (hold.by !== 'requestor') return []
  const { discovery } = applications
  const writers = discovery.state === 'done' ? discovery.applications : []
  const rows = [
    ...writers.flatMap(({ name, writer }) => writerRow(printable(name, 40), writer)),
    fileSystemsRow(hold),
    {
      label: 'snapshot', note: lengthOf(instant.startMs, instant.endMs),
      segments: [{ kind: 'snapshot', startMs: instant.startMs, endMs: instant.endMs }],
    } as const,
  ]
  const startOf = ({ segments }: TimelineRow): number => segments[0]?.startMs ?? 0
  return rows.toSorted((a, b) => startOf(a) - startOf(b))
}

function fileSystemsRow(hold: RequestorHold): TimelineRow {
  const { freeze, thaw } = hold
  const segments: Segment[] = []
  const notes: string[] = []
  if (freeze.state === 'failed') {
    segments.push({ kind: 'asking', startMs: freeze.issuedMs, endMs: freeze.failedMs })
    notes.push('the freeze FAILED')
  } else {
    segments.push({ kind: 'asking', startMs: freeze.issuedMs, endMs: freeze.acknowledgedMs })
    notes.push(`${freeze.count} frozen in ${lengthOf(freeze.issuedMs, freeze.acknowledgedMs)}`)
    const length = heldMs(hold)
    if (length !== null) {
      segments.push({ kind: 'held', startMs: freeze.acknowledgedMs, endMs: thaw.issuedMs })
      notes.push(`held ${formatMs(length)}`)
    }
  }
  if (thaw.state === 'thawed') {
    segments.push({ kind: 'releasing', startMs: thaw.issuedMs, endMs: thaw.acknowledgedMs })
    const count = thaw.early ? 'thawed TOO EARLY by the guardian,'
      : thaw.count === null ? 'thawed' : `${thaw.count} thawed`
    notes.push(`${count} in ${lengthOf(thaw.issuedMs, thaw.acknowledgedMs)}`)
  } else {
    notes.push(thaw.state === 'not-frozen' ? 'found not frozen' : 'the thaw was NOT CONFIRMED')
  }
  return { label: 'file systems', note: notes.join(', '), segments }
}

function writerRow(label: string, writer: WriterEvidence): readonly TimelineRow[] {
  if (writer.contract !== 'held' && writer.contract !== 'recoverable') return []
  const { freeze, thaw } = writer
  if (freeze.state === 'failed') {
    return [{
      label, note: 'did NOT hold still',
      segments: [{ kind: 'asking', startMs: freeze.issuedMs, endMs: freeze.failedMs }],
    }]
  }
  const kind = writer.contract === 'held' ? 'held' : 'watched'
  const segments: Segment[] = [
    { kind: 'asking', startMs: freeze.issuedMs, endMs: freeze.acknowledgedMs },
    { kind, startMs: freeze.acknowledgedMs, endMs: thaw.issuedMs },
  ]
  if (thaw.state === 'thawed') {
    segments.push({ kind: 'releasing', startMs: thaw.issuedMs, endMs: thaw.acknowledgedMs })
  }
  const end = thaw.state === 'unknown' ? ', its release was NOT CONFIRMED'
    : thaw.heldThroughout ? '' : ', LOST before it was asked to go on'
  return [{
    label, segments, note: `${kind} ${lengthOf(freeze.acknowledgedMs, thaw.issuedMs)}${end}` }]
}

function lengthOf(startMs: number, endMs: number): string {
  return formatMs(Math.max(0, endMs - startMs))
}
