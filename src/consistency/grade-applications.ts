/** What the evidence shows of each application (docs/grades.md "Applications"). */

import { printable } from '../base/text.ts'
import { unreachable } from '../base/unreachable.ts'
import type {
  ApplicationEvidence, Evidence, HoldEvidence, InstantEvidence, NoWriterReason, WriterEvidence,
  WriterHold,
} from './evidence.ts'
import { isWeaker, type Grade } from './grade-scale.ts'
import { reason, type GradeReason, type ReasonCode } from './reasons.ts'
import { brokenSession } from './vss-facts.ts'

export interface ApplicationGrade {
  /** Printable. */
  readonly name: string
  readonly kind: 'protected' | 'incidental'
  readonly grade: Grade | 'not-covered'
  readonly contract: 'held' | 'recoverable' | 'platform-stated' | 'none'
  readonly recovery: 'self' | 'none' | 'unknown'
  /** Why it is not `application`; undefined if it is. */
  readonly reason: GradeReason | undefined
}

/** What the machine's grade is without its applications, and why. */
export interface BaseGrade {
  readonly grade: Grade
  readonly reasons: readonly GradeReason[]
  /** True for a machine that was shut down: no contract is needed. */
  readonly atRest: boolean
}

/** Each known application; none of them is above the machine's base grade. */
export function gradeApplications(
  evidence: Evidence, base: BaseGrade): readonly ApplicationGrade[] {
  const { discovery } = evidence.applications
  if (discovery.state === 'impossible') return []
  return discovery.applications.map((application) => {
    const { kind, recovery, writer } = application
    const own = unfulfilled(application, evidence, base.atRest)
    const common = { name: printable(application.name), kind, recovery, contract: writer.contract }
    if (own?.code === 'application-not-covered') {
      return { ...common, grade: 'not-covered', reason: own }
    }
    if (isWeaker(base.grade, 'filesystem')) {
      return { ...common, grade: base.grade, reason: base.reasons[0] }
    }
    const grade = own === undefined ? base.grade
      : own.code === 'guest-saved' ? 'crash' : 'filesystem'
    return { ...common, grade, reason: own }
  })
}

/** Why the machine's applications cap its grade, then the remarks. */
export function applicationReasons(
  { applications, hold, instant }: Evidence, atRest: boolean): readonly GradeReason[] {
  const { discovery, declaredNone } = applications
  if (discovery.state === 'impossible') {
    if (atRest) return []
    return [isAwaited(hold) ? reason('awaiting-guest-log')
      : reason('applications-unknown', discovery.reason)]
  }
  const known = discovery.applications.filter(({ kind }) => kind === 'protected')
  if (known.length === 0 && !atRest) {
    return [reason(declaredNone ? 'applications-declared-none' : 'no-applications-known')]
  }
  const remarks = known.some(({ writer }) => writer.contract === 'platform-stated')
    ? [reason('applications-by-platform', `${discovery.by}; others are not known`)] : []
  return [
    ...known.flatMap((application) => unfulfilled(application, { hold, instant }, atRest) ?? []),
    ...remarks,
  ]
}

/** The platform says that it held applications, and its documents do not say which. */
function isAwaited(hold: HoldEvidence): boolean {
  return hold.by === 'platform' && hold.claimed === 'application' &&
    hold.documents.some(({ shows, text }) => shows === 'filesystem' && text !== '')
}

/** Why `application` is not fulfilled by a contract; undefined if it is. */
function unfulfilled(
  { name, data, writer }: ApplicationEvidence,
  { hold, instant }: Pick<Evidence, 'hold' | 'instant'>, atRest: boolean,
): GradeReason | undefined {
  // Not even the file systems inside it were held, wherever its disks lie.
  const isSaved = writer.contract === 'platform-stated' && writer.guest === 'saved'
  if (isSaved && !atRest) return reason('guest-saved', name)
  const captured = new Set(instant.disks.map(({ id }) => id))
  if (data.state === 'outside') return reason('application-not-covered', name)
  if (data.state === 'located' && data.diskIds.some((id) => !captured.has(id))) {
    return reason('application-not-covered', name)
  }
  if (data.state === 'unknown' || data.diskIds.length === 0) {
    return reason('application-data-unknown', name)
  }
  if (atRest) return undefined
  const code = brokenContract(writer, hold, instant)
  return code === undefined ? undefined : reason(code, name)
}

const NO_WRITER: Readonly<Record<NoWriterReason, ReasonCode>> = {
  'no-writer': 'no-writer',
  'no-channel': 'no-channel',
  'hook-ignored': 'hook-ignored',
  'hook-not-run': 'hook-not-run',
  'hook-failed': 'hook-failed',
  'not-reachable': 'writer-not-reachable',
  'would-truncate-logs': 'would-truncate-logs',
  'declined': 'writer-declined',
  'not-tried': 'writer-not-tried',
}

function brokenContract(
  writer: WriterEvidence, hold: HoldEvidence, instant: InstantEvidence): ReasonCode | undefined {
  switch (writer.contract) {
    case 'none': return NO_WRITER[writer.reason]
    case 'held': return brokenHold(writer, instant)
    case 'recoverable': {
      if (writer.durability.state === 'unsafe') return 'durability-unsafe'
      if (writer.durability.state === 'unknown') return 'durability-unknown'
      return brokenRecovery(writer, instant)
    }
    case 'platform-stated': return brokenStatement(writer, hold)
    default: return unreachable(writer)
  }
}

function brokenStatement(
  writer: Extract<WriterEvidence, { contract: 'platform-stated' }>, hold: HoldEvidence,
): ReasonCode | undefined {
  if (hold.by === 'platform' && hold.session !== undefined) {
    // The numbers say more than what somebody made of them.
    const broken = brokenSession(hold.session, writer.seen)
    if (broken !== undefined) return broken
  }
  if (writer.state !== 'stable') return 'platform-writer-failed'
  // What its host did is not what its own applications did, however well that went.
  if (writer.guest === 'online') return 'guest-by-host'
  if (writer.statement.trim() === '') return 'writer-statement-missing'
  const isShown = hold.by === 'platform' && hold.claimed === 'application' &&
    [writer.metadataDocument, writer.componentsDocument].every((name) =>
      hold.documents.some((document) =>
        document.name === name && document.shows === 'application' && document.text !== ''))
  return isShown ? undefined : 'platform-documents-missing'
}

/** `held`: nothing commits between freeze and thaw, and these span the instant. */
function brokenHold(
  { freeze, thaw, limitMs }: WriterHold, { startMs, endMs }: InstantEvidence,
): ReasonCode | undefined {
  if (freeze.state === 'failed') return 'writer-failed'
  const inOrder = freeze.issuedMs <= freeze.acknowledgedMs && freeze.acknowledgedMs <= startMs &&
    startMs <= endMs && endMs <= thaw.issuedMs
  if (!inOrder) return 'writer-hold-not-across'
  if (!(thaw.issuedMs - freeze.acknowledgedMs <= limitMs)) return 'writer-hold-too-long'
  if (thaw.state !== 'thawed' || !thaw.heldThroughout) return 'writer-hold-lost'
  const isStated = freeze.statement.trim() !== '' && thaw.statement.trim() !== ''
  return isStated ? undefined : 'writer-statement-missing'
}

/** `recoverable`: positions before the checkpoint and at the freeze, both before the instant. */
function brokenRecovery(
  { freeze }: WriterHold, { startMs, endMs }: InstantEvidence): ReasonCode | undefined {
  if (freeze.state === 'failed') return 'writer-failed'
  const inOrder = freeze.issuedMs <= freeze.acknowledgedMs && freeze.acknowledgedMs <= startMs &&
    startMs <= endMs
  if (!inOrder) return 'writer-hold-not-across'
  if (freeze.statement.trim() === '') return 'writer-statement-missing'
  const { positions } = freeze
  const isKnown = positions !== null && positions.beforeCheckpoint.trim() !== '' &&
    positions.atFreeze.trim() !== ''
  return isKnown ? undefined : 'positions-missing'
}
