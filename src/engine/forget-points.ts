/** Forgets restore points, and prunes afterwards if told so. */

import {
  carryOutForget, planForget, readForgettable, type ForgetPlan, type ForgetRequest,
} from '../catalog/mod.ts'
import {
  pruneRepository, type MaxUnused, type OnPruneProgress, type PruneReport,
} from '../repository/mod.ts'
import type { EngineContext, RepositoryOptions } from './context.ts'
import { withRepository } from './open-repository.ts'

export interface PointForget extends Omit<ForgetRequest, 'nowMs'> {
  readonly repository: RepositoryOptions
  readonly dryRun: boolean
  /** Undefined: what the points alone needed stays until a prune. */
  readonly prune: { readonly maxUnused: MaxUnused } | undefined
  /** Told of the plan before it is carried out. */
  readonly onPlan: (plan: ForgetPlan) => void
  readonly onProgress: OnPruneProgress
}

export interface ForgottenPoints {
  readonly plan: ForgetPlan
  readonly pruned: PruneReport | undefined
}

/**
 * Plans and forgets under one exclusive lock; a dry run takes a shared one and changes nothing.
 * Faults: `usage`, `point-not-found`, `locked`, `lock-lost`, and those of a prune.
 */
export async function forgetPoints(
  request: PointForget, context: EngineContext, signal: AbortSignal): Promise<ForgottenPoints> {
  const { dryRun, prune, onPlan, onProgress } = request
  return withRepository(request.repository, context, signal, async (repository) => {
    await using lock = await repository.lock(dryRun ? 'shared' : 'exclusive', signal)
    const stop = AbortSignal.any([signal, lock.lost])
    const all = await readForgettable(repository, stop)
    const plan = planForget(all, { ...request, nowMs: context.clock.nowMs() })
    onPlan(plan)
    if (!dryRun) await carryOutForget(repository, lock, plan, stop)
    const going = [...plan.records, ...plan.points.flatMap(({ point, decision }) =>
      decision.action === 'forget' ? [point.snapshotId] : [])]
    const pruned = prune === undefined ? undefined : await pruneRepository(
      repository, lock, { ...prune, dryRun, ignoring: new Set(going) }, onProgress, stop)
    return { plan, pruned }
  })
}

export interface PruneRequest {
  readonly repository: RepositoryOptions
  readonly dryRun: boolean
  readonly maxUnused: MaxUnused
  readonly onProgress: OnPruneProgress
}

/** Removes what no snapshot needs, alone in the repository; a dry run may share it. */
export async function pruneRepositoryAt(
  request: PruneRequest, context: EngineContext, signal: AbortSignal): Promise<PruneReport> {
  const { dryRun, maxUnused, onProgress } = request
  return withRepository(request.repository, context, signal, async (repository) => {
    await using lock = await repository.lock(dryRun ? 'shared' : 'exclusive', signal)
    return await pruneRepository(repository, lock, { dryRun, maxUnused }, onProgress, signal)
  })
}
