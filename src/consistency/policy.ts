/** What the operator asks of a backup, and whether it was reached (docs/grades.md). */

import { printable } from '../base/text.ts'
import type { PolicyEvidence } from './evidence.ts'
import type { GradeResult } from './grade.ts'
import { isWeaker, type Grade } from './grade-scale.ts'

/** What one run is held to. */
export type Policy = PolicyEvidence

/** What the operator set; what is undefined has a default. */
export interface PolicySettings {
  readonly require: Grade | undefined
  readonly onWeaker: Policy['onWeaker'] | undefined
}

/**
 * Fills in the defaults: a machine is to be as good as it has ever been, on its first run as good
 * as predicted, so that a guest agent that stops answering is noticed. Only an explicit setting
 * lowers it; no default asks for less than `crash`.
 */
export function resolvePolicy(
  settings: PolicySettings, bestSoFar: Grade | undefined, predicted: Grade): Policy {
  const onWeaker = settings.onWeaker ?? 'keep'
  if (settings.require !== undefined) {
    return { require: settings.require, origin: 'operator', onWeaker }
  }
  const expected = bestSoFar ?? predicted
  return {
    require: isWeaker(expected, 'crash') ? 'crash' : expected,
    origin: bestSoFar === undefined ? 'predicted' : 'best-so-far',
    onWeaker,
  }
}

export type Judgement =
  | { readonly kind: 'fine' }
  /** The run ends with exit code 3. */
  | {
      readonly kind: 'weaker'
      /** Plain printable sentences, the most important first; at least one. */
      readonly because: readonly string[]
      /** Whether the point is to be stored all the same. */
      readonly store: boolean
    }

/** Holds a grade and its coverage against the policy. What is torn is stored only if asked for. */
export function judge(
  { grade, reasons, coverage }: Pick<GradeResult, 'grade' | 'reasons' | 'coverage'>,
  policy: Policy,
): Judgement {
  const because: string[] = []
  if (isWeaker(grade, policy.require)) {
    const why = reasons[0] === undefined ? '' : ` ${reasons[0].sentence}`
    const since = ORIGIN[policy.origin]
    because.push(`The grade is ${grade}, ${policy.require} is required (${since}).${why}`)
  }
  for (const { id, reason, detail } of coverage.unaccepted) {
    because.push(printable(`Disk ${id} is not in the point (${reason}): ${detail}`))
  }
  if (!coverage.rechecked) {
    because.push('It is not known whether disks were added or removed during the snapshot.')
  }
  if (because.length === 0) return { kind: 'fine' }
  const isUnaskedTorn = grade === 'torn' && policy.require !== 'torn'
  return { kind: 'weaker', because, store: policy.onWeaker === 'keep' && !isUnaskedTorn }
}

const ORIGIN: Readonly<Record<Policy['origin'], string>> = {
  'operator': 'as set',
  'best-so-far': 'its best grade so far',
  'predicted': 'as predicted for its first backup',
}
