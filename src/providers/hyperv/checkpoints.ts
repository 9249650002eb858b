/**
 * Checkpoints of ours: made, found again, turned into a reference point or removed. They are of the
 * kind that Hyper-V makes for backups and carry our name and this host's; others, also those of
 * other backup programs, are never touched.
 */

import { throwIfAborted } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import {
  surveySchema, type HypervCheckpoint, type HypervHostFacts, type HypervMachine,
} from './host-answers.ts'
import { runTask } from './jobs.ts'
import type { HypervHost } from './powershell.ts'

const NAME = /^Stillpoint ([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/
const OWNER = /stillpoint-owner host=(\S{1,64})\s*$/

/** The guest gets up to a quarter of an hour to hold still. */
const CREATE_LIMIT_MS = 20 * 60_000
/** What was written meanwhile is merged; it goes on at the host when nobody waits. */
export const REMOVE_LIMIT_MS = 30 * 60_000

export function nameFor(pointId: string): string {
  return `Stillpoint ${pointId}`
}

export function notesFor(hostName: string): string {
  return 'Made for a backup, which removes it at its end. ' +
    `stillpoint-owner host=${hostName.replace(/[^A-Za-z0-9._-]/g, '_').slice(0, 64)}`
}

export interface MachineOnHost {
  readonly machine: HypervMachine
  readonly facts: HypervHostFacts
}

/** The one machine and its host, as they are now. Faults: `machine-not-found`, `platform-*`. */
export async function surveyOne(
  host: HypervHost, id: string, signal: AbortSignal,
): Promise<MachineOnHost> {
  const { machines, host: facts } = await host.ask('survey', { id }, surveySchema, signal)
  const machine = machines.find((it) => it.id === id)
  if (machine === undefined) throw new Fault('machine-not-found', 'the machine is gone')
  return { machine, facts }
}

export interface CheckpointWish {
  readonly machine: HypervMachine
  readonly hostName: string
  readonly pointId: string
  /** 1: the guest is asked to hold still; 2: it is not. */
  readonly level: 1 | 2
}

/**
 * Makes one; resolves with its id. Faults: `platform-refused`, `timed-out`, `platform-protocol`. A
 * checkpoint may have been made whatever becomes of the call.
 */
export async function makeCheckpoint(
  host: HypervHost, { machine, hostName, pointId, level }: CheckpointWish, signal: AbortSignal,
): Promise<string> {
  const name = nameFor(pointId)
  const made = await runTask(host, {
    script: 'checkpoint', doing: 'the checkpoint', limitMs: CREATE_LIMIT_MS,
    input: { id: machine.id, name, notes: notesFor(hostName), level },
  }, signal)
  const { machine: now } = await surveyOne(host, machine.id, signal)
  const before = new Set(machine.checkpoints.map(({ id }) => id))
  const found = now.checkpoints.filter(({ id }) => !before.has(id))
    .find((it) => made.includes(it.id) || it.name === name)
  if (found === undefined) {
    throw new Fault('platform-protocol', 'Hyper-V says that it made a checkpoint, and has none')
  }
  return found.id
}

/** One that is gone already is no fault. */
export async function destroyCheckpoint(
  host: HypervHost, checkpoint: string, signal: AbortSignal): Promise<void> {
  await runTask(host, { script: 'destroy-checkpoint', input: { checkpoint },
    doing: 'the removal of our checkpoint', limitMs: REMOVE_LIMIT_MS }, signal)
}

function isOurs({ name, isRecovery }: HypervCheckpoint): boolean {
  return isRecovery && NAME.test(name)
}

/**
 * Removes what runs that were killed left on this host; call it while no run can be at work there.
 * Resolves with a sentence for each. Fault: `machine-busy` where one was made by another host.
 */
export async function sweepCheckpoints(
  host: HypervHost, { checkpoints, name: machineName }: HypervMachine, hostName: string,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const swept: string[] = []
  for (const checkpoint of checkpoints.filter(isOurs)) {
    throwIfAborted(signal)
    const owner = OWNER.exec(checkpoint.notes)?.[1]
    const us = OWNER.exec(notesFor(hostName))?.[1]
    if (owner !== undefined && owner.toLowerCase() !== us?.toLowerCase()) {
      throw new Fault('machine-busy', `a backup of ${printable(machineName, 100)} by the host ${
        printable(owner, 64)} has a checkpoint there: ${printable(checkpoint.name, 100)}`, {
        advice: 'If no backup is at work there any more, remove it with Remove-VMSnapshot.' })
    }
    await destroyCheckpoint(host, checkpoint.id, signal)
    swept.push(`removed ${checkpoint.name}, which a run that was killed had left`)
  }
  return swept
}
