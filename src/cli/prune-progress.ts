/** How far a prune is, as a bar or as JSON. */

import type { Clock } from '../base/clock.ts'
import type { OnPruneProgress, PrunePhase } from '../repository/mod.ts'
import type { Output } from './output.ts'
import { sometimes } from './sometimes.ts'

const PHASES: Readonly<Record<PrunePhase, string>> = {
  'snapshots': 'reading snapshots',
  'index': 'reading index',
  'trees': 'looking for what is needed',
  'orphans': 'removing what crashed runs left',
  'repack': 'copying what is needed',
  'write-index': 'writing index',
  'remove-index': 'removing old index',
  'remove-packs': 'removing packs',
}

export function pruneProgress(
  output: Output, clock: Clock, command: 'forget' | 'prune'): OnPruneProgress {
  const now = sometimes(clock)
  return (phase, done, total) => {
    output.bar.show({ what: PHASES[phase], done, total, unit: 'count' })
    if (now()) output.status(command, { phase, done, total: total ?? null })
  }
}
