/** What the records around an instant say of one application, or of one file system. */

import { isNamed, type EventRecord } from '../../eventlog/mod.ts'
import { printable } from '../../base/text.ts'
import type { Check } from '../verdict.ts'
import { JET, SQL_SERVER, VSS_DOUBTS, VSS_FAILURES, type LogMeaning } from './log-meanings.ts'
import { timeOfDay, type RecordsAround } from './records-around.ts'

type Answer = Pick<Check, 'answer' | 'detail'>

interface Around {
  readonly application: RecordsAround
  readonly system: RecordsAround
}

/** How an application logs that it was held: each of its parts (databases, instances) by itself. */
interface Trail {
  /** Whose grade it is: the name that the writer or the platform gives it. */
  readonly names: RegExp
  readonly called: string
  readonly sources: readonly string[]
  readonly frozen: number
  readonly resumed: number
  readonly completed: number
  readonly partOf: (event: EventRecord) => string
  readonly isMine: (event: EventRecord) => boolean
  readonly failures: readonly Pick<LogMeaning, 'sources' | 'ids'>[]
}

const first = ({ data }: EventRecord): string => data[0]?.value ?? ''

const jet = (names: RegExp, called: string, processes: RegExp): Trail => ({
  names, called, sources: JET, frozen: 2001, resumed: 2003, completed: 2006,
  partOf: first, isMine: (event) => processes.test(first(event)),
  failures: [{ sources: JET, ids: [2002, 2004, 2007] }],
})

const TRAILS: readonly Trail[] = [
  {
    names: /^(sqlserver|mssql)/i, called: 'SQL Server', sources: SQL_SERVER,
    frozen: 3197, resumed: 3198, completed: 18_264,
    partOf: (event) => `${first(event)} of ${event.source}`, isMine: () => true,
    failures: [{ sources: ['SQLWRITER'], ids: [24_583] }, { sources: ['SQLVDI'], ids: [1] },
      { sources: SQL_SERVER, ids: [3041, 18_210] }],
  },
  jet(/^ntds$/i, 'Active Directory', /lsass|ntds/i),
  {
    ...jet(/exchange/i, 'Exchange', /information store|store\.worker/i),
    failures: [{ sources: JET, ids: [2002, 2004, 2007] },
      { sources: ['MSExchangeIS'], ids: [9607, 9611] }],
  },
]

/** A failure counts this long before and after the instant; holds last seconds. */
const NEAR_MS = 5 * 60_000

/** `subject` is the application's name in the grade. */
export function answerForWriter(subject: string, around: Around): Answer {
  return answerFor(TRAILS.find(({ names }) => names.test(subject)), around)
}

function answerFor(trail: Trail | undefined, { application, system }: Around): Answer {
  const quiet = unquiet(system)
  if (quiet !== undefined) return contradicts(quiet)
  const vss = near(application).find((event) => isOf(event, ['VSS'], VSS_FAILURES))
  if (vss !== undefined) {
    return contradicts(`the shadow copy service or a writer failed: ${named(vss)}`)
  }
  if (trail === undefined) {
    return silent('Windows keeps no record of how this writer fared that is known here; ' +
      'no failure is logged around the instant')
  }
  const failed = near(application).find((event) =>
    trail.failures.some(({ sources, ids }) => isOf(event, sources, ids)) &&
    (!isOf(event, JET, [event.id]) || trail.isMine(event)))
  if (failed !== undefined) return contradicts(`${trail.called} logged a failure: ${named(failed)}`)
  return judgeTrail(trail, application)
}

/**
 * Applications that logged a hold near the instant, of which no claim speaks: where a platform does
 * not say which applications it held, their own records do. They are never contradicted, since
 * nothing was claimed.
 */
export function alsoHeld(
  claimed: readonly string[], around: Around,
): readonly (Answer & { readonly subject: string })[] {
  const { before, after } = around.application
  return TRAILS.filter(({ names, sources, frozen, isMine }) =>
    !claimed.some((name) => names.test(name)) && [...before, ...after].some((event) =>
      isOf(event, sources, [frozen]) && isMine(event))).map((trail) => {
    const { answer, detail } = answerFor(trail, around)
    return { subject: `${trail.called} (as it logged)`, detail,
      answer: answer === 'contradicts' ? 'silent' : answer }
  })
}

/** No record says that a file system was held; one says that it could not be. */
export function answerForFileSystem(subject: string, { system }: Around): Answer {
  const quiet = unquiet(system, subject)
  if (quiet !== undefined) return contradicts(quiet)
  return silent(system.before.length + system.after.length === 0
    ? 'Windows logs only what goes wrong with a hold, and nothing around the instant was found'
    : 'Windows logs only what goes wrong with a hold, and none of it is there')
}

/** Which parts were held, and which of them went on when. */
function judgeTrail(trail: Trail, { before, after, isComplete, missing, instantMs }: RecordsAround,
): Answer {
  const { called } = trail
  const isMine = (id: number) => (event: EventRecord): boolean =>
    isOf(event, trail.sources, [id]) && trail.isMine(event)
  const isNear = ({ atMs }: EventRecord): boolean => Math.abs(atMs - instantMs) <= NEAR_MS
  const frozen = new Map(heldAtTheEnd(trail, before).filter(isNear)
    .map((event) => [trail.partOf(event), event]))
  if (frozen.size === 0 && after.filter(isNear).some(isMine(trail.frozen))) {
    return silent(`${called} logged a hold (${trail.frozen}) near the instant, but only the next ` +
      'backup has the record: it cannot be told whether the hold began before the instant')
  }
  if (frozen.size === 0) return nothingHeld(trail, { before, after, isComplete, missing })
  const parts = [...frozen.keys()]
  const since = Math.min(...[...frozen.values()].map(({ atMs }) => atMs))
  const says = `${called} logged at ${timeOfDay(since)} that it held ${listed(parts)} ` +
    `(${trail.frozen})`
  const wentOn = new Set(after.filter(isMine(trail.resumed)).map(trail.partOf))
  const open = parts.filter((part) => !wentOn.has(part))
  if (!isComplete) return silent(`${says}; that it went on is not shown yet: ${missing}`)
  if (open.length > 0) {
    return silent(`${says}; that it went on is not logged of ${listed(open)}`)
  }
  const doubt = [...before, ...after].find((event) =>
    isNear(event) && isOf(event, ['VSS'], VSS_DOUBTS))
  if (doubt !== undefined) return silent(`${says}, but there was an error: ${named(doubt)}`)
  const completed = after.filter(isMine(trail.completed)).length > 0
    ? ` and counted as backed up (${trail.completed})` : ''
  return { answer: 'confirms',
    detail: `${says} and only after the instant that they went on (${trail.resumed})${completed}` }
}

/** Frozen, and not resumed before the image ends. */
function heldAtTheEnd(trail: Trail, before: readonly EventRecord[]): readonly EventRecord[] {
  const held = new Map<string, EventRecord>()
  for (const event of before) {
    if (!trail.isMine(event)) continue
    if (isOf(event, trail.sources, [trail.frozen])) held.set(trail.partOf(event), event)
    if (isOf(event, trail.sources, [trail.resumed])) held.delete(trail.partOf(event))
  }
  return [...held.values()]
}

function nothingHeld(
  { called, sources, frozen, resumed, isMine }: Trail,
  { before, after, isComplete, missing }: Omit<RecordsAround, 'instantMs'>,
): Answer {
  if (!isComplete) {
    return silent(`the image has no record of ${called} that it was held at its end; one may ` +
      `have been on its way to the disk: ${missing}`)
  }
  const all = [...before, ...after].filter((event) =>
    isOf(event, sources, [event.id]) && isMine(event))
  if (all.length === 0) {
    return silent(`${called} logged nothing around the instant, here or in the next backup`)
  }
  return contradicts(all.some((event) => isOf(event, sources, [resumed]))
    ? `${called} was not held at the instant: it went on before, or was held only after`
    : `${called} logged nothing of a hold (${frozen}) around the instant, here or in the next ` +
      'backup, although it logged other things')
}

/** A sentence if writes could not be held; of another volume than the one asked about: none. */
function unquiet(system: RecordsAround, volume = ''): string | undefined {
  const found = near(system).find((event) => {
    if (!isOf(event, ['volsnap'], [8, 9])) return false
    const of = driveOf(event.data.find(({ name }) => name === 'VolumeName')?.value ?? '')
    return of === undefined || driveOf(volume) === undefined || of === driveOf(volume)
  })
  return found && `writes could not be held long enough: ${named(found)}`
}

function driveOf(text: string): string | undefined {
  return /^([A-Za-z]):/.exec(text)?.[1]?.toUpperCase()
}

function near({ before, after, instantMs }: RecordsAround): readonly EventRecord[] {
  return [...before, ...after].filter(({ atMs }) => Math.abs(atMs - instantMs) <= NEAR_MS)
}

function isOf(event: EventRecord, sources: readonly string[], ids: readonly number[]): boolean {
  return ids.includes(event.id) && sources.some((name) => isNamed(event, name))
}

function named({ source, id, atMs }: EventRecord): string {
  return `${printable(source, 60)} ${id} at ${timeOfDay(atMs)}`
}

function listed(parts: readonly string[]): string {
  const shown = parts.slice(0, 3).map((part) => printable(part, 60)).join(', ')
  return parts.length > 3 ? `${shown} and ${parts.length - 3} more` : shown
}

function silent(detail: string): Answer {
  return { answer: 'silent', detail }
}

function contradicts(detail: string): Answer {
  return { answer: 'contradicts', detail }
}
