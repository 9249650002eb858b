/** What `--json` carries; docs/json-output.md describes it, and a change raises its version. */

import type { BackupSummary } from '../../backup/mod.ts'
import { isoTime } from '../../base/clock.ts'
import { printable } from '../../base/text.ts'
import type { ListedPoint } from '../../catalog/mod.ts'
import type {
  ApplicationGrade, CoverageResult, GradeReason, GradeResult, Verdict, VerdictStatement,
} from '../../consistency/mod.ts'
import type {
  CheckedRepository, Diagnosis, MadeMachine, PlatformListing, PointListing, Proved, ProvedPoint,
  RestoredPoint, ShownPoint,
} from '../../engine/mod.ts'
import type { JsonFields } from '../output.ts'
import { adviceFor } from './application-report.ts'
import { firstAction } from './diagnosis-report.ts'

export function backupJson(summary: BackupSummary): JsonFields {
  const { stored, judgement, result } = summary
  return {
    point: summary.pointId,
    snapshot: 'snapshotId' in stored ? stored.snapshotId : null,
    stored: 'snapshotId' in stored,
    evidenceDigest: 'snapshotId' in stored ? stored.digest : null,
    sequence: 'snapshotId' in stored ? stored.sequence : null,
    machine: summary.machine,
    ...gradeJson(result),
    meetsPolicy: judgement.kind === 'fine',
    because: judgement.kind === 'fine' ? [] : judgement.because,
    method: summary.method,
    heldMs: msJson(summary.heldMs),
    stalledMs: msJson(summary.stalledMs),
    mode: summary.mode,
    reason: summary.modeReason,
    sizeBytes: summary.sizeBytes,
    bytesRead: summary.bytesRead,
    bytesAdded: summary.bytesAdded,
    durationMs: Math.round(summary.durationMs),
  }
}

/** One of the list of `points`; the evidence is in `show` alone. */
export function pointJson(point: ListedPoint): JsonFields {
  if (point.state === 'damaged') {
    return {
      state: 'damaged', snapshot: point.snapshotId, takenAt: timeJson(point.timeMs),
      machine: point.machineName, detail: point.reason,
    }
  }
  return {
    state: 'readable',
    point: point.pointId,
    snapshot: point.snapshotId,
    takenAt: timeJson(point.timeMs),
    machine: point.machine.name,
    ...gradeJson(point.result),
    claimedGrade: point.claimed ?? null,
    signer: point.seal.signer,
    sequence: point.seal.statement.sequence,
    heldMs: msJson(point.heldMs),
    stalledMs: msJson(point.stalledMs),
    sizeBytes: point.sizeBytes,
    bytesAdded: point.bytesAdded ?? null,
  }
}

/** One of `points`, with what later checks made of it. */
export function listingJson({ point, verdict }: PointListing): JsonFields {
  return { ...pointJson(point), verdict: lateVerdictJson(verdict) }
}

function lateVerdictJson(statement: VerdictStatement | undefined): JsonFields | null {
  return statement === undefined ? null
    : { checkedAt: statement.checkedAt, ...verdictJson(statement.verdict) }
}

export function verdictJson({ verdict, grade, effective, checks }: Verdict): JsonFields {
  return {
    verdict, grade, effectiveGrade: effective,
    checks: checks.map(({ name, claim, answer, detail }) => ({ name, ...claim, answer, detail })),
  }
}

export function provedJson({ proved, left }: Proved): JsonFields {
  return {
    proved: proved.map(({ point, verdict, logs, durationMs }) => ({
      point: point.pointId, machine: point.machine.name, ...verdictJson(verdict),
      ...logs && { logs: logsJson(logs) },
      durationMs: Math.round(durationMs),
    })),
    left,
  }
}

function logsJson({ found, remarks, note }: NonNullable<ProvedPoint['logs']>): JsonFields {
  return { found, note, records: remarks.map(({ atMs, ...rest }) =>
    ({ at: isoTime(atMs), ...rest })) }
}

/** All of one point, its evidence included. */
export function shownPointJson({ point, verdict }: ShownPoint): JsonFields {
  return {
    ...pointJson(point),
    verdict: lateVerdictJson(verdict),
    fileSystems: fileSystemsJson(point.result),
    disks: point.disks.map(({ id, sizeBytes }) => ({ id, sizeBytes })),
    description: point.machine,
    evidence: point.evidence,
  }
}

export function diagnosisJson(diagnosis: Diagnosis): JsonFields {
  const { machine, survey, predicted, policy, judgement, applications } = diagnosis
  const { freezing } = survey
  const { discovery } = applications
  const found = discovery.state === 'done' ? discovery.applications : []
  return {
    machine: machine.name,
    power: survey.power,
    disks: survey.disks.map(({ id, sizeBytes }) => ({ id, sizeBytes })),
    heldBy: 'missing' in freezing ? null : freezing.by,
    remarks: (survey.remarks ?? []).map((it) => ({ ...it, advice: it.advice ?? null })),
    ...gradeJson(predicted),
    applications: predicted.applications.map((it, at) =>
      ({ ...applicationJson(it), advice: adviceFor(found[at]) || null })),
    fileSystems: fileSystemsJson(predicted),
    require: policy.require,
    meetsPolicy: judgement.kind === 'fine',
    because: judgement.kind === 'fine' ? [] : judgement.because,
    doFirst: firstAction(diagnosis) || null,
  }
}

export function machinesJson(listings: readonly PlatformListing[]): JsonFields {
  return {
    machines: listings.flatMap(({ platform, machines }) => machines.map((machine) => ({
      name: machine.name, platform, power: machine.power, agent: machine.agent,
      disks: machine.disks.map(({ id, sizeBytes }) => ({ id, sizeBytes })),
    }))),
    unreachable: listings.flatMap(({ platform, fault }) => fault === undefined
      ? [] : [{ platform, code: fault.code, message: printable(fault.message) }]),
  }
}

export function checkJson({ location, report }: CheckedRepository): JsonFields {
  return { location, ...report }
}

export function restoreJson({ point, restored, durationMs }: RestoredPoint): JsonFields {
  return {
    point: point.pointId,
    snapshot: point.snapshotId,
    machine: point.machine.name,
    grade: point.result.grade,
    disks: restored.disks,
    machinePath: restored.machinePath,
    documentPaths: restored.documentPaths,
    domainPath: restored.domainPath ?? null,
    bytesWritten: restored.writtenBytes,
    durationMs: Math.round(durationMs),
  }
}

export function madeMachineJson(
  { point, name, writtenBytes, durationMs }: MadeMachine): JsonFields {
  return {
    point: point.pointId,
    snapshot: point.snapshotId,
    machine: point.machine.name,
    grade: point.result.grade,
    made: name,
    bytesWritten: writtenBytes,
    durationMs: Math.round(durationMs),
  }
}

function gradeJson({ grade, reasons, coverage, applications }: GradeResult): JsonFields {
  return {
    grade,
    reasons: reasons.map(reasonJson),
    coverage: coverageJson(coverage),
    applications: applications.map(applicationJson),
  }
}

function fileSystemsJson({ fileSystems }: GradeResult): readonly JsonFields[] {
  return fileSystems.map(({ name, class: kind, reason }) =>
    ({ name, class: kind, reason: reason === undefined ? null : reasonJson(reason) }))
}

function reasonJson({ code, subject, sentence }: GradeReason): JsonFields {
  return { code, subject, sentence }
}

function coverageJson({ kind, leftOut, unaccepted, rechecked }: CoverageResult): JsonFields {
  const accepted = (id: string): boolean => !unaccepted.some((disk) => disk.id === id)
  return {
    kind, rechecked,
    leftOut: leftOut.map(({ id, reason, detail }) =>
      ({ id, reason, detail, accepted: accepted(id) })),
  }
}

function applicationJson(application: ApplicationGrade): JsonFields {
  const { name, kind, grade, contract, recovery, reason } = application
  return {
    name, kind, grade, contract, recovery,
    reason: reason === undefined ? null : reasonJson(reason),
  }
}

/** To the microsecond: more digits would only seem to mean something. */
function msJson(ms: number | null): number | null {
  return ms === null ? null : Math.round(ms * 1000) / 1000
}

function timeJson(ms: number): string | null {
  return Number.isFinite(ms) ? isoTime(ms) : null
}
