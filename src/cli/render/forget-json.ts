/** The summary of `forget --json`. */

import type { ForgottenPoints } from '../../engine/mod.ts'
import type { JsonFields } from '../output.ts'
import { pointJson } from './json-shapes.ts'

export function forgetJson(
  { plan, pruned }: ForgottenPoints, dryRun: boolean, timeZone: string): JsonFields {
  return {
    dryRun, timeZone,
    points: plan.points.map(({ point, decision }) => ({
      ...pointJson(point),
      action: decision.action,
      because: decision.because,
      rules: decision.because === 'rules' ? decision.reasons : [],
    })),
    records: plan.records,
    prune: pruned ?? null,
  }
}
