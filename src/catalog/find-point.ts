/** Finds the restore point that an operator named. */

import { Fault } from '../base/fault.ts'
import { printable } from '../base/text.ts'
import { gradeOf, isWeaker, type Grade } from '../consistency/mod.ts'
import type { ListedPoint, RestorePoint } from './restore-point.ts'

/**
 * `latest`, `latest:MACHINE`, or the first digits of a point's or its snapshot's id. `points` are
 * oldest first. Where the latest is damaged that is a fault, not the one before it: whoever asks
 * for the latest must know that an older one is something else. Faults: `point-not-found` (none,
 * or more than one), `point-invalid` (damaged).
 */
export function findPoint(points: readonly ListedPoint[], name: string): RestorePoint {
  const found = findListedPoint(points, name)
  if (found.state === 'readable') return found
  throw new Fault('point-invalid',
    `restore point ${found.snapshotId.slice(0, 8)} is damaged: ${found.reason}`, {
      advice: 'Name another by its id from `stillpoint points`; see `stillpoint check`.' })
}

/** As `findPoint`, but what is damaged is found too. Fault: `point-not-found`. */
export function findListedPoint(points: readonly ListedPoint[], name: string): ListedPoint {
  return name === 'latest' || name.startsWith('latest:')
    ? latest(points, name) : byPrefix(points, name)
}

function latest(points: readonly ListedPoint[], name: string): ListedPoint {
  const machine = name.slice('latest:'.length)
  const newest = points.findLast((point) => machine === '' || machineOf(point) === machine)
  if (newest !== undefined) return newest
  throw new Fault('point-not-found',
    machine === '' ? 'the repository holds no restore point'
      : `the repository holds no restore point of ${printable(machine, 100)}`,
    { advice: 'Run `stillpoint points` to see what there is.' })
}

/** The name of its machine; printable alone, and perhaps empty, where it is damaged. */
export function machineOf(point: ListedPoint): string {
  return point.state === 'readable' ? point.machine.name : point.machineName
}

/** The UUID in its evidence, which may be readable where the point is damaged. */
function pointIdOf(point: ListedPoint): string | undefined {
  return point.state === 'readable' ? point.pointId : point.seal?.statement.evidence.pointId
}

function byPrefix(points: readonly ListedPoint[], name: string): ListedPoint {
  const prefix = name.toLowerCase()
  const fitting = points.filter((point) => point.snapshotId.startsWith(prefix) ||
    pointIdOf(point)?.startsWith(prefix) === true)
  const [only, ...others] = prefix.length < 2 ? [] : fitting
  if (only === undefined) {
    throw new Fault('point-not-found', `no restore point has an id that begins with ${
      printable(name, 80)}`, { advice: 'Run `stillpoint points` to see their ids.' })
  }
  if (others.length > 0) {
    throw new Fault('point-not-found',
      `${fitting.length} restore points have ids that begin with ${printable(name, 80)}`,
      { advice: 'Give more digits.' })
  }
  return only
}

/**
 * The best grade that the machine has had, by the evidence of its readable points; undefined if it
 * has none. An altered point was once that good, and must not lower what is required of the next;
 * forged and foreign evidence says nothing of the machine.
 */
export function bestGradeSoFar(
  points: readonly ListedPoint[], machineName: string): Grade | undefined {
  return points
    .flatMap((point) => point.state === 'readable' && point.machine.name === machineName &&
      !point.result.reasons.some(({ code }) =>
        code === 'evidence-forged' || code === 'signer-not-pinned')
      ? [gradeOf(point.evidence).grade] : [])
    .reduce<Grade | undefined>((best, grade) =>
      best === undefined || isWeaker(best, grade) ? grade : best, undefined)
}
