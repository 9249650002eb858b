/** Forgets restore points, and prunes afterwards if told so. */

import {
  carryOutForget, planForget, readCatalog, type ForgetPlan, type ForgetRequest,
} from '../catalog/mod.ts'
import {
  pruneRepository, type MaxUnused, type OnPruneProgress, type PruneReport,
} from '../repository/mod.ts'
import type { EngineContext, RepositoryOptions } from './context.ts'
import { findSigner, type FoundSigner } from './evidence-key.ts'
import { withRepository } from './open-repository.ts'

export interface PointForget extends Omit<ForgetRequest, 'nowMs'> {
  readonly repository: RepositoryOptions
  readonly dryRun: boolean
  /** Undefined: what the points alone needed stays until a prune. */
  readonly prune: { readonly maxUnused: MaxUnused } | undefined
  /** Told of the plan before it is carried out. */
  readonly onPlan: (plan: ForgetPlan) => void
  /** Told whose key signs that points were forgotten, before any is. */
  readonly onSigner: (signer: FoundSigner) => void
  readonly onProgress: OnPruneProgress
}

export interface ForgottenPoints {
  readonly plan: ForgetPlan
  readonly pruned: PruneReport | undefined
}

/**
 * Plans and forgets under one exclusive lock; a dry run takes a shared one and changes nothing.
 * Faults: `usage`, `point-not-found`, `locked`, `lock-lost`, `evidence-key-invalid`, and those of a
 * prune.
 */
export async function forgetPoints(
  request: PointForget, context: EngineContext, signal: AbortSignal): Promise<ForgottenPoints> {
  const { dryRun, prune, onPlan, onSigner, onProgress } = request
  return withRepository(request.repository, context, signal, async (repository) => {
    await using lock = await repository.lock(dryRun ? 'shared' : 'exclusive', signal)
    const stop = AbortSignal.any([signal, lock.lost])
    const all = await readCatalog(repository, stop, context.config.evidence.pins)
    const nowMs = context.clock.nowMs()
    const plan = planForget(all, { ...request, nowMs })
    onPlan(plan)
    const going = [...plan.records, ...plan.points.flatMap(({ point, decision }) =>
      decision.action === 'forget' ? [point.snapshotId] : [])]
    if (!dryRun && going.length > 0) {
      const found = await findSigner(context, repository.storage.location)
      onSigner(found)
      const by = { signer: found.signer, programVersion: context.version, nowMs }
      await carryOutForget(repository, lock, all, plan, by, stop)
    }
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
