/** The records of an image, and of the next one, around the instant of the first. */

import { isoTime } from '../../base/clock.ts'
import type { EventLogReading, EventRecord } from '../../eventlog/mod.ts'

/** The logs of one image; one that is not there was not found. */
export interface ImageLogs {
  readonly application?: EventLogReading
  readonly system?: EventLogReading
}

/** What was logged around an instant, of the two images. */
export interface RecordsAround {
  readonly instantMs: number
  /** In the image itself, so before the instant; by number. */
  readonly before: readonly EventRecord[]
  /** Only in the next image, so after the instant, or written down late. */
  readonly after: readonly EventRecord[]
  /** `before` and `after` together have all that was logged around the instant. */
  readonly isComplete: boolean
  /** Why not. */
  readonly missing: string
}

/** A hold takes seconds; what writers prepare may take minutes. */
const BEFORE_MS = 30 * 60_000
const AFTER_MS = 30 * 60_000
/**
 * The records of one log around the instant. What is in the image was written before the instant,
 * whatever the guest's clock says; of the next image what has a higher number was written after.
 */
export function around(
  name: keyof ImageLogs, takenAtMs: number, own: ImageLogs, next: ImageLogs | undefined,
): RecordsAround {
  const [mine, later] = [own[name], next?.[name]]
  // A clock of the guest that is ahead shows itself: nothing in the image is later than it.
  const instantMs = Math.max(takenAtMs, mine?.newestAtMs ?? takenAtMs)
  const isNear = ({ atMs }: EventRecord): boolean =>
    atMs >= instantMs - BEFORE_MS && atMs <= instantMs + AFTER_MS
  const before = (mine?.events ?? []).filter(isNear)
  const lastId = mine?.lastId ?? 0
  const after = (later?.events ?? []).filter((event) => isNear(event) && event.recordId > lastId)
  const missing = whyIncomplete(mine, later, next, instantMs)
  return { instantMs, before, after, isComplete: missing === '', missing }
}

function whyIncomplete(
  mine: EventLogReading | undefined, later: EventLogReading | undefined,
  next: ImageLogs | undefined, instantMs: number,
): string {
  if (mine === undefined) return 'this log was not found in the image'
  if (next === undefined) {
    return 'what was logged after the instant stands only in the machine\'s next backup'
  }
  if (later === undefined) return 'this log was not found in the next backup'
  if ((later.lastId ?? 0) < (mine.lastId ?? 0)) return 'the log was cleared before the next backup'
  if ((later.firstId ?? 0) > (mine.lastId ?? 0) + 1) {
    return 'the log had begun anew by the next backup: older records were written over'
  }
  if (mine.hasMore || later.hasMore) return 'there were more records than are kept'
  if ((later.newestAtMs ?? 0) < instantMs + 60_000) {
    return 'the next backup came too soon after this one'
  }
  return ''
}

/** `02:00:04 UTC` of a record's time, for a sentence. */
export function timeOfDay(atMs: number): string {
  return `${isoTime(atMs).slice(11, 19)} UTC`
}
