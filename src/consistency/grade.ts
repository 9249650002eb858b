/**
 * The grade: what the evidence supports. A pure, total function; nobody sets one (docs/grades.md).
 *
 * Each part of the evidence either shows what the strongest grade asks of it or yields reasons;
 * each reason caps the grade (reasons.ts), and the grade is the weakest of these caps. So a reason
 * more can only lower it, and `application` needs every part to show its own.
 */

import { unreachable } from '../base/unreachable.ts'
import { coverageOf, type CoverageResult } from './coverage.ts'
import type { Evidence } from './evidence.ts'
import {
  applicationReasons, gradeApplications, type ApplicationGrade,
} from './grade-applications.ts'
import {
  classifyFileSystems, fileSystemReasons, fileSystemsAtRest, type ClassifiedFileSystem,
} from './grade-file-systems.ts'
import { holdReasons, instantReasons, offReasons } from './grade-hold.ts'
import { isWeaker, weakest, type Grade } from './grade-scale.ts'
import { capOf, gradeUnder, reason, sortReasons, type GradeReason } from './reasons.ts'

export interface GradeResult {
  readonly grade: Grade
  /** Why it is not higher, the binding ones first, then remarks on what it rests on. */
  readonly reasons: readonly GradeReason[]
  readonly applications: readonly ApplicationGrade[]
  /** How each expected file system is accounted for; empty where nothing was held or at rest. */
  readonly fileSystems: readonly ClassifiedFileSystem[]
  readonly coverage: CoverageResult
}

/** Total over parsed evidence; depends on nothing else. */
export function gradeOf(evidence: Evidence): GradeResult {
  const { leftOut, excludes, rechecked } = evidence.coverage
  const isOff = evidence.power.before === 'off'
  const { fileSystems, reasons: stillness } = stillnessOf(evidence)
  const baseReasons = sortReasons([...instantReasons(evidence), ...stillness])
  const base = { grade: gradeUnder(baseReasons), reasons: baseReasons, atRest: isOff }
  const reasons = sortReasons([...baseReasons, ...applicationReasons(evidence, isOff)])
  return {
    grade: gradeUnder(reasons),
    reasons,
    applications: gradeApplications(evidence, base),
    fileSystems,
    coverage: coverageOf(leftOut, excludes, rechecked),
  }
}

/** The result with one more reason: never better, for its applications neither. */
export function cappedBy(result: GradeResult, more: GradeReason): GradeResult {
  const cap = capOf(more.code)
  return {
    ...result,
    grade: weakest([result.grade, cap]),
    reasons: sortReasons([...result.reasons, more]),
    applications: result.applications.map((application) =>
      application.grade === 'not-covered' || !isWeaker(cap, application.grade)
        ? application : { ...application, grade: cap, reason: more }),
  }
}

/** The grade this evidence will have if every read still shows the instant: for `judge`. */
export function outlookOf(evidence: Evidence): GradeResult {
  const disks = evidence.instant.disks.map(({ id }) => ({
        diskId: id, bytesRead: 0, base: { full: 'asked-for' as const } }))
  return gradeOf({
    ...evidence, reading: { state: 'finished', instant: { intact: true }, disks },
  })
}

/** Why the file systems may not have been still at the instant, by the machine's power. */
function stillnessOf(evidence: Evidence): {
  readonly fileSystems: readonly ClassifiedFileSystem[]
  readonly reasons: readonly GradeReason[]
} {
  switch (evidence.power.before) {
    case 'paused': return { fileSystems: [], reasons: [reason('paused')] }
    case 'saved': return { fileSystems: [], reasons: [reason('saved')] }
    case 'off': {
      const reasons = offReasons(evidence)
      return reasons.length === 0
        ? { fileSystems: fileSystemsAtRest(evidence), reasons: [reason('clean-image')] }
        : { fileSystems: [], reasons }
    }
    case 'running': {
      const held = holdReasons(evidence)
      // Without a hold that is in order there is nothing a file system could owe its rest to.
      if (isWeaker(gradeUnder(held), 'filesystem')) return { fileSystems: [], reasons: held }
      const fileSystems = classifyFileSystems(evidence)
      return { fileSystems, reasons: [...held, ...fileSystemReasons(evidence, fileSystems)] }
    }
    default: return unreachable(evidence.power.before)
  }
}
