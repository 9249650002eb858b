/** Decides which restore points go, and which records with them. */

import { Fault } from '../base/fault.ts'
import { printable } from '../base/text.ts'
import type { FileId } from '../repository/mod.ts'
import {
  applyRetention, hasRules, type KeepReason, type RetentionRules,
} from '../schedule/mod.ts'
import type { Catalog } from './catalog.ts'
import { findListedPoint, machineOf } from './find-point.ts'
import { recordedPoint } from './layout.ts'
import type { ListedPoint, RestorePoint } from './restore-point.ts'

export interface ForgetRequest {
  /** Without rules only what is named goes. */
  readonly rules: RetentionRules
  /** Rules apply to this machine alone; undefined: to each machine by itself. */
  readonly machine: string | undefined
  /** Points as an operator names them; with rules, none. */
  readonly names: readonly string[]
  /** May the last readable point of a machine go? */
  readonly allowRemoveAll: boolean
  /** The calendar of rules: an IANA name. */
  readonly zone: string
  readonly nowMs: number
}

/**
 * `last-point`: no rule keeps it, but it is the only one of its machine that would be left.
 * `damaged`: rules judge only what is whole; it goes when it is named.
 */
export type ForgetDecision =
  | { readonly action: 'keep'; readonly because: 'rules'; readonly reasons: readonly KeepReason[] }
  | { readonly action: 'keep'; readonly because: 'last-point' | 'damaged' }
  | { readonly action: 'forget'; readonly because: 'no-rule' | 'named' }

export interface PlannedPoint {
  readonly point: ListedPoint
  readonly decision: ForgetDecision
}

export interface ForgetPlan {
  /** By machine, in each oldest first. With names, only those. */
  readonly points: readonly PlannedPoint[]
  /** Snapshots of records that go with their points. */
  readonly records: readonly FileId[]
}

/**
 * Decides. Damaged points fulfil no rule and go only when they are named; snapshots that are not
 * ours never go. Faults: `usage` (neither rules nor names, or both; the last point of a machine is
 * named), `point-not-found`.
 */
export function planForget(all: Catalog, request: ForgetRequest): ForgetPlan {
  const { rules, names } = request
  if (hasRules(rules) === names.length > 0) {
    throw new Fault('usage',
      names.length > 0
        ? 'points are named, and rules are given too' : 'nothing says what to forget',
      { advice: 'Give either rules, like --keep-daily 7, or the ids of points.' })
  }
  const points = names.length > 0 ? planNamed(all.points, request) : planByRules(all, request)
  return { points, records: recordsToGo(all, points) }
}

function planByRules(
  { points, snapshots }: Catalog,
  { rules, machine, zone, nowMs, allowRemoveAll }: ForgetRequest,
): readonly PlannedPoint[] {
  const machines = [...new Set(points.map(machineOf))].toSorted()
  const chosen = machine === undefined ? machines : machines.filter((name) => name === machine)
  if (chosen.length === 0 && machine !== undefined) {
    throw new Fault('point-not-found',
      `the repository holds no restore point of ${printable(machine, 100)}`,
      { advice: 'Run `stillpoint points` to see what there is.' })
  }
  return chosen.flatMap((name) => {
    const own = points.filter((point) => machineOf(point) === name)
    const items = own.flatMap((point) => point.state === 'damaged' ? [] : [{
      point, timeMs: point.timeMs, tags: snapshots.get(point.snapshotId)?.tags ?? [] }])
    const fates = applyRetention(items, rules, zone, nowMs)
    const keepsAny = allowRemoveAll || fates.some(({ reasons }) => reasons.length > 0)
    const decisions = new Map<ListedPoint, ForgetDecision>(
      fates.map(({ item: { point }, reasons }, at) => [point,
        reasons.length > 0 ? { action: 'keep', because: 'rules', reasons }
          : at === 0 && !keepsAny ? { action: 'keep', because: 'last-point' }
            : { action: 'forget', because: 'no-rule' }]))
    return own.map((point) => ({
      point, decision: decisions.get(point) ?? { action: 'keep', because: 'damaged' } }))
  })
}

function planNamed(
  points: readonly ListedPoint[], { names, allowRemoveAll }: ForgetRequest,
): readonly PlannedPoint[] {
  const named = new Set(names.map((name) => findListedPoint(points, name)))
  const readable = points.filter((point): point is RestorePoint => point.state === 'readable')
  for (const { machine: { name } } of readable.filter((point) => named.has(point))) {
    const own = readable.filter(({ machine }) => machine.name === name)
    if (allowRemoveAll || own.some((point) => !named.has(point))) continue
    throw new Fault('usage',
      `no restore point of ${printable(name, 100)} that can be read would be left`, {
        advice: 'Back it up first, or say --unsafe-allow-remove-all if that is what you want.' })
  }
  return points.filter((point) => named.has(point))
    .map((point) => ({ point, decision: { action: 'forget', because: 'named' } }))
}

/** Records of points of which no snapshot is left: one may have been copied. */
function recordsToGo(
  { points, snapshots }: Catalog, planned: readonly PlannedPoint[]): readonly FileId[] {
  const going = new Set(planned
    .filter(({ decision }) => decision.action === 'forget').map(({ point }) => point))
  const idsOf = (isGoing: boolean): Set<string> => new Set(points.flatMap((point) =>
    point.state === 'readable' && going.has(point) === isGoing ? [point.pointId] : []))
  const gone = idsOf(true)
  for (const kept of idsOf(false)) gone.delete(kept)
  return [...snapshots].flatMap(([id, snapshot]) =>
    gone.has(recordedPoint(snapshot) ?? '') ? [id] : [])
}
