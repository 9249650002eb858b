/**
 * The check `logs`: what the guest's own records say of the hold. Pure: records and an instant in,
 * answers out. An image is cut between freeze and thaw, so that of most writers only the beginning
 * stands in it: that it went on and was told of the backup stands in the next image.
 */

import type { EventRecord } from '../../eventlog/mod.ts'
import type { Check, Claim } from '../verdict.ts'
import { meaningOf, type LogTone } from './log-meanings.ts'
import { around, type ImageLogs, type RecordsAround } from './records-around.ts'
import { alsoHeld, answerForFileSystem, answerForWriter } from './writer-records.ts'

export interface LogsQuestion {
  readonly claims: readonly Claim[]
  /** By our clock, when the instant had been taken; milliseconds since 1970. */
  readonly takenAtMs: number
  readonly own: ImageLogs
  /** Of the machine's next restore point; undefined: there is none, or it could not be read. */
  readonly next: ImageLogs | undefined
}

/** A record that means something, for people. */
export interface LogRemark {
  readonly atMs: number
  /** Foreign text, as are `shows`. */
  readonly source: string
  readonly id: number
  readonly tone: LogTone
  readonly means: string
  readonly shows: string
  /** How many records of this kind follow each other. */
  readonly count: number
  /** Whether the record stands in this image, or only in the next. */
  readonly image: 'own' | 'next'
}

export interface LogsAnswer {
  readonly checks: readonly Check[]
  readonly remarks: readonly LogRemark[]
}

const MAX_REMARKS = 40

export function checkLogs({ claims, takenAtMs, own, next }: LogsQuestion): LogsAnswer {
  const application = around('application', takenAtMs, own, next)
  const system = around('system', takenAtMs, own, next)
  const both = { application, system }
  const checks = claims.map((claim): Check => ({ name: 'logs', claim,
    ...claim.kind === 'application'
      ? answerForWriter(claim.subject, both) : answerForFileSystem(claim.subject, both) }))
  const claimed = claims.flatMap(({ kind, subject }) => kind === 'application' ? [subject] : [])
  const others = alsoHeld(claimed, both).map(({ subject, answer, detail }): Check => ({
    name: 'logs', claim: { kind: 'application', subject }, answer, detail }))
  return { checks: [...checks, ...others], remarks: remarksOf(both) }
}

function remarksOf(
  { application, system }: Readonly<Record<keyof ImageLogs, RecordsAround>>,
): readonly LogRemark[] {
  const all = [application, system].flatMap(({ before, after }) => [
    ...before.flatMap((event) => remark(event, 'own')),
    ...after.flatMap((event) => remark(event, 'next')),
  ]).toSorted((a, b) => a.atMs - b.atMs)
  const kept: LogRemark[] = []
  for (const it of all) {
    const same = kept.findIndex((other) => other.id === it.id && other.source === it.source &&
      other.shows === it.shows && other.image === it.image)
    const known = kept[same]
    if (known === undefined) kept.push(it)
    else kept[same] = { ...known, count: known.count + 1 }
  }
  if (kept.length <= MAX_REMARKS) return kept
  const bad = kept.filter(({ tone }) => tone === 'bad').slice(-MAX_REMARKS)
  const others = kept.filter(({ tone }) => tone !== 'bad')
  return [...bad, ...others.slice(0, MAX_REMARKS - bad.length)].toSorted((a, b) => a.atMs - b.atMs)
}

function remark(event: EventRecord, image: LogRemark['image']): readonly LogRemark[] {
  const meaning = meaningOf(event)
  if (meaning === undefined) return []
  const { atMs, source, id, data } = event
  const { tone, means, shows } = meaning
  const shown = shows === undefined ? '' : data[shows]?.value ?? ''
  return [{ atMs, source, id, tone, means, shows: shown, count: 1, image }]
}
