/** Checks restore points against their own data, and keeps the verdicts beside them, signed. */

import { isoTime } from '../base/clock.ts'
import {
  findPoint, latestVerdict, readCatalog, storeRecord, type Catalog, type Pins, type RestorePoint,
} from '../catalog/mod.ts'
import {
  TRACKING_CHECK, verdictOf, type Verdict, type VerdictStatement,
} from '../consistency/mod.ts'
import { provePoint, type LogsProof, type ProofRequest } from '../recovery/mod.ts'
import type { Repository, RepositoryLock } from '../repository/mod.ts'
import type { EngineContext, RepositoryOptions } from './context.ts'
import { findSigner, type FoundSigner } from './evidence-key.ts'
import { withRepository } from './open-repository.ts'

export interface ProveRequest {
  readonly repository: RepositoryOptions
  /** A point as an operator names it; `all`: the newest of each machine, oldest proof first. */
  readonly points: { readonly name: string } | 'all'
  readonly checks: { readonly image: boolean; readonly logs: boolean }
  /** No check is begun after this long; undefined: all are. */
  readonly budgetMs: number | undefined
  /** Told whose key signs the verdicts, before anything is read. */
  readonly onSigner: (signer: FoundSigner) => void
  /** Told before a point is read. */
  readonly onPoint: (point: RestorePoint, done: number, total: number) => void
}

export interface ProvedPoint {
  readonly point: RestorePoint
  readonly verdict: Verdict
  /** What its logs say besides; absent where they were not asked for. */
  readonly logs?: LogsProof
  readonly durationMs: number
}

export interface Proved {
  readonly proved: readonly ProvedPoint[]
  /** Machines that the budget left for the next time. */
  readonly left: readonly string[]
}

/**
 * A verdict is stored as soon as it is there: what was proved stays if the next fails. A refuted
 * grade is no fault. Faults: `point-not-found`, `point-invalid`, `evidence-key-invalid`, those of
 * reading and of the store.
 */
export async function provePoints(
  request: ProveRequest, context: EngineContext, signal: AbortSignal): Promise<Proved> {
  const { clock } = context
  const { pins } = context.config.evidence
  const startMs = clock.monotonicMs()
  return withRepository(request.repository, context, signal, async (repository) => {
    const found = await findSigner(context, repository.storage.location)
    request.onSigner(found)
    await using lock = await repository.lock('shared', signal)
    const stop = AbortSignal.any([signal, lock.lost])
    const catalog = await readCatalog(repository, stop, pins)
    const chosen = request.points === 'all' ? newestOfEach(catalog, pins)
      : [findPoint(catalog.points, request.points.name)]
    const proved: ProvedPoint[] = []
    for (const [done, point] of chosen.entries()) {
      const isOver = clock.monotonicMs() - startMs >= (request.budgetMs ?? Infinity)
      if (isOver) return { proved, left: chosen.slice(done).map(({ machine }) => machine.name) }
      request.onPoint(point, done, chosen.length)
      const next = request.checks.logs ? nextOf(point, catalog) : undefined
      proved.push(await proveOne(
        repository, { ...request.checks, point, next }, { found, lock, catalog }, context, stop))
    }
    return { proved, left: [] }
  })
}

interface Recording {
  readonly found: FoundSigner
  readonly lock: RepositoryLock
  readonly catalog: Catalog
}

async function proveOne(
  repository: Repository, request: ProofRequest, { found, lock, catalog }: Recording,
  { clock, version, config }: EngineContext, signal: AbortSignal,
): Promise<ProvedPoint> {
  const startMs = clock.monotonicMs()
  const { point } = request
  // What an audit of the tracking showed cannot be seen in the image, and stands.
  const earlier = latestVerdict(catalog, point.seal, config.evidence.pins)?.verdict.checks
    .filter(({ name }) => name === TRACKING_CHECK) ?? []
  const { verdict: { checks }, logs } = await provePoint(repository, request, clock, signal)
  const verdict = verdictOf(point.result, [...checks, ...earlier])
  await storeRecord(repository, {
    statement: {
      kind: 'verdict', pointId: point.pointId, digest: point.seal.digest,
      repositoryId: repository.id, machine: point.machine.name,
      checkedAt: isoTime(clock.nowMs()), verdict,
    },
    signer: found.signer, lock, programVersion: version,
  }, signal)
  return { point, verdict, ...logs && { logs }, durationMs: clock.monotonicMs() - startMs }
}

/** The machine's point after this one, if that can be read. */
function nextOf({ machine, timeMs }: RestorePoint, { points }: Catalog): RestorePoint | undefined {
  return points.filter((it) => it.state === 'readable')
    .find((it) => it.machine.name === machine.name && it.timeMs > timeMs) // oldest first
}

/** The newest point of each machine; those come first whose machine was proved longest ago. */
function newestOfEach(catalog: Catalog, pins: Pins): readonly RestorePoint[] {
  const newest = new Map<string, RestorePoint>()
  const provedMs = new Map<string, number>()
  for (const point of catalog.points) {
    if (point.state !== 'readable') continue
    const { name } = point.machine
    newest.set(name, point) // points come oldest first
    const atMs = timeOf(latestVerdict(catalog, point.seal, pins))
    provedMs.set(name, Math.max(atMs, provedMs.get(name) ?? 0))
  }
  const ageOf = ({ machine }: RestorePoint): number => provedMs.get(machine.name) ?? 0
  return [...newest.values()].toSorted((a, b) => ageOf(a) - ageOf(b))
}

function timeOf(verdict: VerdictStatement | undefined): number {
  return verdict === undefined ? 0 : Date.parse(verdict.checkedAt)
}
