/**
 * The grade: what the evidence supports. A pure, total function; nobody sets one (DESIGN §4).
 *
 * Each part of the evidence either shows what the strongest grade asks of it or yields reasons;
 * each reason caps the grade (reasons.ts), and the grade is the weakest of these caps. So a reason
 * more can only lower it.
 */

import type { ApplicationGrade } from './grade-applications.ts'
import type { CoverageResult } from './coverage.ts'
import type { ClassifiedFileSystem } from './grade-file-systems.ts'
import type { Evidence } from './evidence.ts'
import type { Grade } from './grade-scale.ts'
import type { GradeReason } from './reasons.ts'

export interface GradeResult {
  readonly grade: Grade
  /** Why it is not higher, the binding ones first, then remarks on what it rests on. */
  readonly reasons: readonly GradeReason[]
  readonly applications: readonly ApplicationGrade[]
  /** How each expected file system is accounted for; empty where nothing was held. */
  readonly fileSystems: readonly ClassifiedFileSystem[]
  readonly coverage: CoverageResult
}

export function gradeOf(evidence: Evidence): GradeResult {
  throw new Error(`not yet ${evidence.pointId}`)
}

/** The grade this evidence will have if every read still shows the instant: for `judge`. */
export function outlookOf(evidence: Evidence): GradeResult {
  const disks = evidence.instant.disks.map(({ id }) => ({ diskId: id, bytesRead: 0 }))
  return gradeOf({
    ...evidence, reading: { state: 'finished', instant: { intact: true }, disks },
  })
}
