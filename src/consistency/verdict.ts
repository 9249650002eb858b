/**
 * The verdict: what later checks of the captured data made of the grade. Pure (docs/proof.md).
 *
 * A grade claims something of each file system and of each application, and every grade but `torn`
 * that each disk is of the one instant. A check answers one claim: it confirms it, contradicts it,
 * or is silent, because it could not have contradicted or could not run. Only a grade of which
 * every claim is confirmed is proven; of a disk's nothing in an image can show that it holds.
 */

import type { FileSystemClass } from './grade-file-systems.ts'
import { weakest, type Grade } from './grade-scale.ts'
import type { GradeResult } from './grade.ts'

/** What a grade says of one thing; the subject is as in the grade's result, printable. */
export interface Claim {
  readonly kind: 'file-system' | 'application' | 'disk'
  readonly subject: string
}

export interface Check {
  /** What was read: `image`, `logs`, `boot`, `tracking`. */
  readonly name: string
  readonly claim: Claim
  readonly answer: 'confirms' | 'contradicts' | 'silent'
  /** What was seen, or why it is silent: one sentence, printable. */
  readonly detail: string
}

export interface Verdict {
  readonly verdict: 'proven' | 'refuted' | 'not-proven'
  /** The grade that the evidence supports. */
  readonly grade: Grade
  /** What is left of it: weaker where a check contradicts. */
  readonly effective: Grade
  readonly checks: readonly Check[]
  /** The claims that no check confirmed. */
  readonly open: readonly Claim[]
}

/** What remains at most once a claim of this kind is contradicted. */
const LEFT: Readonly<Record<Claim['kind'], Grade>> = {
  'file-system': 'crash',
  'application': 'filesystem',
  'disk': 'torn',
}

const STILL: ReadonlySet<FileSystemClass> = new Set(['acknowledged', 'image-frozen', 'unmounted'])

/** What the grade claims that a disk at rest can show; of `crash`, that is nothing. */
export function claimsOf({ grade, fileSystems, applications }: GradeResult): readonly Claim[] {
  if (grade === 'torn' || grade === 'crash') return []
  const held = fileSystems.filter((it) => STILL.has(it.class))
    .map(({ name }): Claim => ({ kind: 'file-system', subject: name }))
  if (grade === 'filesystem') return held
  return [...held, ...applications.filter(({ kind }) => kind === 'protected')
    .map(({ name }): Claim => ({ kind: 'application', subject: name }))]
}

/** Checks of what the grade does not claim count for nothing, unless they contradict. */
export function verdictOf(result: GradeResult, checks: readonly Check[]): Verdict {
  const claims = claimsOf(result)
  const answers = (claim: Claim, answer: Check['answer']): boolean =>
    checks.some((check) => check.answer === answer && isSame(check.claim, claim))
  const refuted = checks.filter((check) =>
    check.answer === 'contradicts' && (check.claim.kind === 'disk' ? result.grade !== 'torn'
      : claims.some((claim) => isSame(claim, check.claim))))
  const open = claims.filter((claim) => !answers(claim, 'confirms'))
  const isProven = refuted.length === 0 && claims.length > 0 && open.length === 0
  return {
    verdict: refuted.length > 0 ? 'refuted' : isProven ? 'proven' : 'not-proven',
    grade: result.grade,
    effective: weakest([result.grade, ...refuted.map(({ claim }) => LEFT[claim.kind])]),
    checks, open,
  }
}

function isSame(a: Claim, b: Claim): boolean {
  return a.kind === b.kind && a.subject === b.subject
}
