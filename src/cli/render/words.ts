/** The words of evidence and grades, as a person reads them who has never seen them. */

import { isoTime } from '../../base/clock.ts'
import { formatBytes, formatMs, printable } from '../../base/text.ts'
import type { MachineSummary } from '../../catalog/mod.ts'
import {
  capOf, REASONS, type ApplicationGrade, type CoverageResult, type FilesAsZeros,
  type FileSystemClass, type Grade,
  type GradeReason, type GradeResult, type PowerState, type ReasonCode, type VolumeSign,
} from '../../consistency/mod.ts'
import type { Colour } from '../paint.ts'

/** How many digits of an id are shown; as many as restic shows. */
const ID_DIGITS = 8

export function shortId(id: string): string {
  return id.slice(0, ID_DIGITS)
}

export const GRADE_MEANING: Readonly<Record<Grade, string>> = {
  application: 'each known application held still, or recovers from this instant by itself',
  filesystem: 'all file systems were held still at one instant',
  crash: 'one instant of all disks with nothing held still: as if the power had failed',
  torn: 'not one instant: do not rely on it',
}

export const GRADE_COLOUR: Readonly<Record<Grade, Colour>> = {
  application: 'green', filesystem: 'green', crash: 'yellow', torn: 'red',
}

export const AGENT_WORDS: Readonly<Record<MachineSummary['agent'], string>> = {
  'answers': 'answers',
  'silent': 'does not answer',
  'not-configured': 'none named',
  'disabled': 'refuses to freeze',
  'busy': 'in use elsewhere',
  'not-needed': 'none needed',
}

export const POWER_WORDS: Readonly<Record<PowerState | 'unknown', string>> = {
  running: 'running', paused: 'paused', saved: 'saved to disk', off: 'off', unknown: 'unknown',
}

export const CLASS_WORDS: Readonly<Record<FileSystemClass, string>> = {
  'acknowledged': 'held still, confirmed by the guest',
  'image-frozen': 'at rest, as the disk itself shows',
  'unfreezable': 'cannot be held still',
  'read-only': 'read-only',
  'unmounted': 'not in use',
  'unexplained': 'NOT ACCOUNTED FOR',
}

export const SIGN_WORDS: Readonly<Record<VolumeSign, string>> = {
  'frozen': 'frozen', 'clean': 'nothing pending', 'in-use': 'in use, changes pending',
  'silent': 'the disk does not say',
}

const RECOVERY_WORDS: Readonly<Record<ApplicationGrade['recovery'], string>> = {
  self: 'recovers by itself', none: 'does not recover by itself',
  unknown: 'not known whether it recovers',
}

const CONTRACT_WORDS: Readonly<Record<ApplicationGrade['contract'], string>> = {
  'held': 'held still', 'recoverable': 'its own recovery is guaranteed',
  'platform-stated': 'the platform states it', 'none': 'not asked',
}

/** `crash; not asked, recovers by itself`. */
export function applicationWords({ grade, contract, recovery, reason }: ApplicationGrade): string {
  const shown = grade === 'not-covered' ? 'NOT IN THIS POINT' : grade
  const how = reason?.code === 'no-writer' ? 'no writer, so its files are as after a crash'
    : CONTRACT_WORDS[contract]
  return `${shown}; ${how}, ${RECOVERY_WORDS[recovery]}`
}

export function incidentalNote({ kind, contract }: ApplicationGrade): string {
  if (kind !== 'incidental') return ''
  const what = contract === 'platform-stated' ? 'a part of the system' : 'no service'
  return ` (${what}; it counts for no grade)`
}

/** What keeps the grade from being higher, without the remarks on what it rests on. */
export function limitingReasons(
  grade: Grade, reasons: readonly GradeReason[]): readonly GradeReason[] {
  return reasons.filter(({ code }) => capOf(code) === grade && grade !== 'application')
}

/** Codes that speak not of the backup, but of what became of it since. */
const SEAL_REASONS: ReadonlySet<ReasonCode> = new Set<ReasonCode>([
  'altered-since-seal', 'evidence-forged', 'signer-not-pinned'])

/** Why the evidence is not to be relied on; undefined where its seal holds. */
export function brokenSeal({ reasons }: Pick<GradeResult, 'reasons'>): GradeReason | undefined {
  return reasons.find(({ code }) => SEAL_REASONS.has(code))
}

/** What would raise it; empty where there is nothing to do. */
export function adviceOf({ code }: GradeReason): string {
  return REASONS[code].raise
}

/** `whole`, or what is missing. */
export function coverageWords({ kind, leftOut, rechecked }: CoverageResult): string {
  if (kind === 'whole') return 'whole'
  const disks = leftOut
    .filter(({ reason }) => reason !== 'read-only' && reason !== 'empty')
    .map(({ id, reason }) => `${printable(id, 64)} ${reason}`)
  const doubts = rechecked ? [] : ['disks were not read again after the snapshot']
  return `partial (${[...disks, ...doubts].join(', ')})`
}

/** `2026-11-24 02:31:07`, UTC. */
export function wallTime(ms: number): string {
  return Number.isFinite(ms) ? isoTime(ms).slice(0, 19).replace('T', ' ') : 'unknown'
}

/** `3 hours ago`. */
export function ageWords(thenMs: number, nowMs: number): string {
  const minutes = Math.floor((nowMs - thenMs) / 60_000)
  if (!Number.isFinite(minutes)) return 'at an unknown time'
  if (minutes < 0) return 'in the future by this host\'s clock'
  if (minutes < 1) return 'just now'
  const [count, unit] = minutes < 120 ? [minutes, 'minute'] as const
    : minutes < 48 * 60 ? [Math.floor(minutes / 60), 'hour'] as const
    : [Math.floor(minutes / 1440), 'day'] as const
  return `${count} ${unit}${count === 1 ? '' : 's'} ago`
}

/** `-` where there is none. */
export function msOrDash(ms: number | null): string {
  return ms === null ? '-' : formatMs(ms)
}

export function sizeOrDash(bytes: number | undefined): string {
  return bytes === undefined ? '-' : formatBytes(bytes)
}

/** `2 files of 1.0 MiB are zeros`. */
export function filesAsZerosWords({ files, bytes }: FilesAsZeros): string {
  return `${counted(files, 'file')} of ${formatBytes(bytes)} ${files === 1 ? 'is' : 'are'} zeros`
}

/** `1 disk`, `2 disks`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}
