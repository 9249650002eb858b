/** What the evidence shows of each application (DESIGN §4 "Applications", "Writer contracts"). */

import type { Grade } from './grade-scale.ts'
import type { GradeReason } from './reasons.ts'

export interface ApplicationGrade {
  readonly name: string
  readonly kind: 'protected' | 'incidental'
  readonly grade: Grade | 'not-covered'
  readonly contract: 'held' | 'recoverable' | 'platform-stated' | 'none'
  readonly recovery: 'self' | 'none' | 'unknown'
  /** Why it is not `application`; undefined if it is. */
  readonly reason: GradeReason | undefined
}
