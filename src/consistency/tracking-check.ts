/**
 * What an audit of change tracking shows of a point: a check of its verdict. Pure.
 *
 * An audit reads what is said to be unchanged since a point and holds it against the point. Where
 * they differ, changes were missed: after the point, or already before it if its disk was read as
 * an increment. Of the two only the second speaks against the point; both against the tracking.
 */

import type { Check } from './verdict.ts'

/** Names these checks in a verdict. */
export const TRACKING_CHECK = 'tracking'

export interface TrackingFinding {
  readonly diskId: string
  /** Chunks that were said to be unchanged and compared. */
  readonly compared: number
  readonly differing: number
  /** In bytes, of the first that differs. */
  readonly firstOffset: number
  /** The point's disk took chunks over from an earlier point. */
  readonly isIncrement: boolean
}

/** Of a disk of which something differs. */
export function trackingCheck(finding: TrackingFinding): Check {
  const { diskId, compared, differing, firstOffset, isIncrement } = finding
  const seen = `of ${compared} chunks that are said to be unchanged since, ${differing} ${
    differing === 1 ? 'differs' : 'differ'}, the first at byte ${firstOffset}`
  return {
    name: TRACKING_CHECK,
    claim: { kind: 'disk', subject: diskId },
    answer: isIncrement ? 'contradicts' : 'silent',
    detail: isIncrement ? `${seen}; the disk was read as an increment, which the changes may lack`
      : `${seen}; all of the disk was read for this point, so that they came later`,
  }
}

/** Whether a verdict's checks say that changes since its point are not to be believed. */
export function isTrackingDoubted(checks: readonly Check[], diskId: string): boolean {
  return checks.some(({ name, claim, answer }) => name === TRACKING_CHECK &&
    claim.kind === 'disk' && claim.subject === diskId && answer !== 'confirms')
}
