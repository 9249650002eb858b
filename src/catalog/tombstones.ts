/** Signed words that points were forgotten on purpose, so that they are not missed. */

import { isoTime } from '../base/clock.ts'
import {
  MAX_TOMBSTONES, type Signer, type Tombstone, type TombstonesStatement,
} from '../consistency/mod.ts'
import type { FileId } from '../repository/mod.ts'
import type { Catalog, ChainOf } from './catalog.ts'
import type { PlannedPoint } from './forget-plan.ts'
import type { SealedEvidence } from './point-seal.ts'

/** Who forgets, and when. */
export interface Undertaker {
  readonly signer: Signer
  readonly programVersion: string
  readonly nowMs: number
}

export interface NewTombstones {
  readonly statement: TombstonesStatement
  /** Records of the same key that it takes over: so there stays one a machine. */
  readonly replaces: readonly FileId[]
}

/**
 * What must be signed before the planned points go: for each chain the tombstones of those whose
 * evidence is genuine, with those there are already. Points of which a copy stays get none.
 */
export function tombstonesFor(
  all: Catalog, planned: readonly PlannedPoint[], by: Undertaker): readonly NewTombstones[] {
  const chains = new Map<string, { readonly of: ChainOf; readonly added: Tombstone[] }>()
  const staying = stayingDigests(all, planned)
  for (const { point: { seal }, decision } of planned) {
    if (decision.action !== 'forget' || seal?.isGenuine !== true) continue
    if (staying.has(seal.digest)) continue
    const { evidence, repositoryId } = seal.statement
    const of = { machine: evidence.machine.name, repositoryId }
    const key = JSON.stringify(of)
    const chain = chains.get(key) ?? { of, added: [] }
    chains.set(key, chain)
    chain.added.push(tombstoneOf(seal, decision.because === 'named' ? 'named' : 'rules', by))
  }
  return [...chains.values()].flatMap(({ of, added }) => statementsFor(all, of, added, by))
}

function stayingDigests(
  { points }: Catalog, planned: readonly PlannedPoint[]): ReadonlySet<string> {
  const going = new Set(planned.flatMap(({ point, decision }) =>
    decision.action === 'forget' ? [point.snapshotId] : []))
  return new Set(points.flatMap((point) =>
    going.has(point.snapshotId) || point.seal === undefined ? [] : [point.seal.digest]))
}

function tombstoneOf(
  { digest, signer, statement: { evidence, sequence, previous } }: SealedEvidence,
  because: Tombstone['because'], { nowMs }: Undertaker,
): Tombstone {
  return {
    pointId: evidence.pointId, digest, signer, sequence, previous, because,
    forgottenAt: isoTime(nowMs),
  }
}

/** Only what this key has signed is taken over: it must not vouch for what others say. */
function statementsFor(
  { records }: Catalog, of: ChainOf, added: readonly Tombstone[], { signer }: Undertaker,
): readonly NewTombstones[] {
  const all = new Map<string, Tombstone>()
  const replaces: FileId[] = []
  for (const { snapshotId, signed } of records) {
    const { statement, isGenuine } = signed
    if (!isGenuine || signed.signer !== signer.publicKey.fingerprint) continue
    if (statement.kind !== 'tombstones' || statement.machine !== of.machine) continue
    if (statement.repositoryId !== of.repositoryId) continue
    if (all.size + statement.tombstones.length + added.length > MAX_TOMBSTONES) continue
    for (const stone of statement.tombstones) all.set(stone.pointId, stone)
    replaces.push(snapshotId)
  }
  for (const stone of added) all.set(stone.pointId, stone)
  const stones = [...all.values()].toSorted((a, b) => a.sequence - b.sequence)
  return Array.from({ length: Math.ceil(stones.length / MAX_TOMBSTONES) }, (_, at) => ({
    statement: {
      kind: 'tombstones', ...of,
      tombstones: stones.slice(at * MAX_TOMBSTONES, (at + 1) * MAX_TOMBSTONES),
    },
    replaces: at === 0 ? replaces : [],
  }))
}
