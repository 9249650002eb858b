/** The invariants: what must hold of every run, whatever went wrong in it. */

import assert from 'node:assert/strict'
import type { RestorePoint } from '../../../src/catalog/mod.ts'
import { isWeaker, type Grade, type GradeResult } from '../../../src/consistency/mod.ts'
import type { Span } from './activity.ts'
import type { ModelMachine } from './model-machine.ts'
import type { InstantTruth } from './truth.ts'

/** When nobody could have released anything. */
export interface Excuse {
  readonly fromMs: number
  /** Infinity until it is over. */
  toMs: number
}

/** No grade, of the machine or of an application, is above what really was in the captured set. */
export function assertHonest(
  { plan }: ModelMachine, truth: InstantTruth, result: GradeResult): void {
  const { grade, coverage } = result
  const best = (is: Grade): boolean => !isWeaker(grade, is)
  if (best('crash')) assert.ok(truth.isOneInstant, `${grade}, and the disks are not one instant`)
  if (best('filesystem') && !truth.wasDown) {
    assert.deepEqual(truth.notFrozen, [], `${grade}, and not all was frozen`)
  }
  const fulfilled = fulfilledBy(plan, truth)
  for (const { name } of plan.applications) {
    const isFine = fulfilled.has(name)
    if (grade === 'application') assert.ok(isFine, `application, and ${name} was not held`)
    const own = result.applications.find((it) => it.name === name)
    if (own?.grade === 'application') assert.ok(isFine, `${name} was not held, and is said to be`)
  }
  if (grade === 'application' && !truth.wasDown && plan.applications.length === 0) {
    assert.ok(plan.declaredNone, 'application, and nobody knows of one')
  }
  if (coverage.kind === 'whole') {
    const missing = truth.machineDisks.filter((id) => !truth.contents.has(id))
    assert.deepEqual(missing, [], 'whole, and not all disks are in it')
  }
}

/**
 * The applications whose contract was really kept. Those of a machine that was shut down are at
 * rest, and nobody could have been asked where they have their data.
 */
function fulfilledBy(
  plan: ModelMachine['plan'], truth: InstantTruth): ReadonlySet<string> {
  return new Set(plan.applications.filter((it) => {
    if (truth.wasDown) return true
    const isInSet = !it.isOutside && it.diskIds.every((id) => truth.contents.has(id))
    return isInSet && (it.kind === 'log'
      ? it.durability === 'safe' && truth.isOneInstant : !truth.notHeld.includes(it.name))
  }).map(({ name }) => name))
}

/** The grade of a run in which nothing went wrong: less would be of no use. */
export function bestGrade({ plan, diskIds, guest }: ModelMachine): Grade {
  const captured = diskIds.filter((id) => !plan.exclude.includes(id))
  if (guest.isDown && plan.power !== 'off') return 'crash'
  if (guest.isDown) {
    // Of btrfs the disk does not show that it was unmounted.
    const shows = plan.disks.every(({ id, type }) => !captured.includes(id) || type === 'ext4')
    return shows ? 'application' : 'crash'
  }
  if (!plan.hasGuestAgent) return 'crash'
  if (plan.applications.length === 0) {
    return plan.declaredNone && plan.channel !== 'none' ? 'application' : 'filesystem'
  }
  const canBeHeld = plan.heldBy === 'requestor' && plan.channel !== 'none' &&
    plan.applications.every((it) => !it.isOutside &&
      (it.kind !== 'log' || it.durability === 'safe') &&
      it.diskIds.every((id) => captured.includes(id)))
  return canBeHeld ? 'application' : 'filesystem'
}

/** The death of a requestor. */
export interface Death {
  readonly run: number
  readonly atMs: number
  /** The agent of Stillpoint hears of it. */
  readonly isTold: boolean
  /** A guardian lives, and hears of it. */
  readonly hasGuardian: boolean
}

/** What may make a release late. */
export interface Releases {
  readonly excuses: readonly Excuse[]
  readonly deaths: readonly Death[]
  /** How long agents take. */
  readonly slackMs: number
}

/** A thaw is issued so soon after the requestor's death (docs/simulation.md). */
const AFTER_DEATH_MS = 2000

/** What a requestor held when it died is released at once, not at the end of its limit. */
export function assertReleasedAfterDeath(
  { guest, plan }: ModelMachine, { excuses, deaths, slackMs }: Releases): void {
  for (const { run, atMs, isTold, hasGuardian } of deaths) {
    for (const span of guest.spans.filter((span) => span.run === run)) {
      const application = plan.applications.find(({ name }) => name === span.what)
      const isKnown = application === undefined ? hasGuardian : isTold
      const lateMs = (span.toMs ?? Infinity) - Math.max(atMs, span.fromMs)
      const takesMs = application?.kind === 'pause' ? application.pauseMs
        : application?.limits.thawMs ?? 0
      const allowedMs = AFTER_DEATH_MS + takesMs + slackMs + excused(span, excuses)
      if (isKnown) assert.ok(lateMs <= allowedMs, `${span.what} was released ${lateMs} ms late`)
    }
  }
}

/** Nothing was held for longer than its deadlines allow, but for what nobody could help. */
export function assertDeadlinesKept(
  { guest, plan }: ModelMachine, { excuses, slackMs }: Releases): void {
  for (const span of guest.spans) {
    assert.ok(span.toMs !== undefined, `${span.what} is held still`)
    const allowedMs = allowanceOf(span, plan) + slackMs + excused(span, excuses)
    const heldMs = span.toMs - span.fromMs
    assert.ok(heldMs <= allowedMs, `${span.what} was held for ${heldMs} ms, over ${allowedMs}`)
  }
}

/** The agent releases an application a second past its limit, the guardian a guest at once. */
const DEAD_MAN_MS = 1000

function allowanceOf({ what }: Span, { applications, limits }: ModelMachine['plan']): number {
  const application = applications.find(({ name }) => name === what)
  if (application === undefined) return limits.freezeMs + limits.holdMs
  const { limits: { freezeMs, holdMs, thawMs }, kind, pauseMs } = application
  const toldMs = freezeMs + holdMs + DEAD_MAN_MS + thawMs
  return kind === 'pause' ? Math.max(toldMs, pauseMs) : toldMs
}

function excused({ fromMs, toMs = fromMs }: Span, excuses: readonly Excuse[]): number {
  return excuses.reduce((sum, excuse) =>
    sum + Math.max(0, Math.min(toMs, excuse.toMs) - Math.max(fromMs, excuse.fromMs)), 0)
}

/** What a point holds is what was captured. */
export function assertRestorable(
  point: RestorePoint, truth: InstantTruth, restored: ReadonlyMap<string, Uint8Array>): void {
  assert.deepEqual([...restored.keys()].toSorted(), [...truth.contents.keys()].toSorted())
  if (point.result.grade === 'torn') return
  for (const [id, bytes] of restored) {
    assert.equal(Buffer.compare(bytes, truth.contents.get(id) ?? new Uint8Array()), 0,
      `${id} of the point ${point.pointId} is not as it was captured`)
  }
}
