/** What the operator asks of a backup, and whether it was reached (DESIGN §3 "Policy"). */

import type { PolicyEvidence } from './evidence.ts'

export type Policy = PolicyEvidence

export type Judgement =
  | { readonly kind: 'fine' }
  | {
      readonly kind: 'weaker'
      /** Plain sentences, the most important first; at least one. */
      readonly because: readonly string[]
      /** Whether the point is to be stored all the same. */
      readonly store: boolean
    }
