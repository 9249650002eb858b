/** The hold and what is learnt right behind it: the evidence before anything is read. */

import type { MachineDescription } from '../catalog/mod.ts'
import {
  holdAndCommit, isWeaker, resolvePolicy, type CommittedSet, type Evidence, type Grade,
  type HoldEvent, type HoldOutcome, type PreparedSet,
} from '../consistency/mod.ts'
import type { RoundOfApplications } from './applications.ts'
import type { BackupRequest } from './backup-request.ts'
import { expectedGrade, foretell } from './foretold-grade.ts'
import { withStated } from './stated-applications.ts'

/** A committed set, with the evidence so far: its file systems are not probed yet. */
export interface TakenSet {
  readonly committed: CommittedSet
  readonly evidence: Evidence
}

/** What one run is about. */
export interface BackupRun {
  readonly pointId: string
  readonly machine: MachineDescription
  /** The best grade of the machine's points so far; undefined before the first. */
  readonly bestSoFar: Grade | undefined
  readonly applications: RoundOfApplications
}

/**
 * Runs the hold, then asks for the machine's disks again and fills in the policy's defaults from
 * what was known before the hold. Faults: those of `holdAndCommit`.
 */
export async function takeSnapshotSet(
  request: BackupRequest, run: BackupRun, set: PreparedSet, signal: AbortSignal,
): Promise<TakenSet> {
  const { pointId, machine, bestSoFar, applications } = run
  const { clock, limits, exclude: excludes } = request
  const startedAt = new Date(clock.nowMs()).toISOString()
  const events: HoldEvent[] = []
  // It may take minutes, and only a first backup is held to it.
  const foretold = bestSoFar === undefined && request.settings.require === undefined
    ? await foretell(set, request.log, signal) : undefined
  request.onEvent({ kind: 'phase', phase: 'holding' })
  const outcome = await holdThenLog(request, events, () => holdAndCommit({
    set, writers: applications.writers, limits, mayFreeze: true,
    whenFreezeFails: mayFallBack(request, run, set) ? 'commit-anyway' : 'fail',
    clock, note: (event) => { events.push(event) },
  }, signal))
  request.onEvent({ kind: 'phase', phase: 'judging' })
  const did = await applications.settle(outcome, signal)
  const leftOut = [...set.leftOut, ...await set.recheck(signal)]
  const { before } = outcome.lists
  const expected = expectedGrade({ set, excludes, applications, list: before, foretold })
  const evidence: Evidence = {
    version: 1,
    pointId,
    machine: { name: machine.name, platform: machine.platform },
    observedBy: { program: 'stillpoint', version: request.programVersion },
    startedAt,
    power: { before: set.power, after: await set.powerNow(signal) ?? 'unknown' },
    hold: outcome.hold,
    instant: outcome.instant,
    fileSystems: { ...outcome.lists, probes: [], volumes: [] },
    coverage: { leftOut, excludes, rechecked: true },
    applications: withStated(
      applications.evidence(did, before), outcome.stated, { disks: set.disks, leftOut }),
    reading: { state: 'unfinished' },
    policy: resolvePolicy(request.settings, bestSoFar, expected),
  }
  return { committed: outcome.committed, evidence }
}

/**
 * A platform's second snapshot, without quiescing, is taken where what comes of it would be kept:
 * else it would be a burden to the machine for nothing. What we hold ourselves is committed in any
 * case, since the evidence of it says more than a fault.
 */
function mayFallBack(
  { settings }: BackupRequest, { bestSoFar }: BackupRun, set: PreparedSet): boolean {
  if (set.heldBy === 'requestor' || settings.onWeaker !== 'fail') return true
  const expected = settings.require ?? bestSoFar ??
    (set.expected === 'none' ? 'crash' : set.expected)
  return expected === 'crash' || isWeaker(expected, 'crash')
}

/** The log is a file or a terminal: it is not touched before everything is thawed. */
async function holdThenLog(
  { log }: BackupRequest, events: readonly HoldEvent[], hold: () => Promise<HoldOutcome>,
): Promise<HoldOutcome> {
  try {
    return await hold()
  } finally {
    for (const { event, ...fields } of events) log.info(event, fields)
  }
}
