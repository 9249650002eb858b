/** The end of a run's backup job, and of a stop of the machine over its scratch space. */

import { existsSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../../base/clock.ts'
import { OURS } from '../machine/run-names.ts'
import { endJob } from './backup-job.ts'
import { isStoppedByError, readDomain } from './domain.ts'
import type { VirshCommands } from './virsh.ts'

export interface RunPlace {
  readonly virsh: VirshCommands
  readonly uuid: string
  readonly runDir: string
  readonly clock: Clock
}

/**
 * Is there from before a run's job ends, which tells whose stop it is, until the machine goes on:
 * whoever is killed in between, the guardian or the next run knows.
 */
function stopMark({ runDir, uuid }: RunPlace): string {
  return join(runDir, `${OURS}${uuid}.stopped`)
}

/** Whether a run began to end its job, and it is not known that the machine went on. */
export function mayBeStopped(place: RunPlace): boolean {
  return existsSync(stopMark(place))
}

/** Forgets that the machine may be stopped: it runs. */
export async function forgetStop(place: RunPlace): Promise<void> {
  await rm(stopMark(place), { force: true })
}

/**
 * Ends the job of `run`, if it is there, and resumes the machine if QEMU had stopped it over the
 * run's scratch space. True of each if it was so. Faults: `platform-*`, `timed-out`.
 */
export async function endRun(
  place: RunPlace, run: string, signal: AbortSignal,
): Promise<{ readonly ended: boolean; readonly resumed: boolean }> {
  const { virsh, uuid, clock } = place
  // A disk that is full has no room for it either, and the job must end all the same.
  const mark = (): Promise<void> => writeFile(stopMark(place), '').catch(() => {})
  const ended = await endJob(virsh, uuid, run, { clock, before: mark }, signal)
  return { ended, resumed: (ended || mayBeStopped(place)) && await resume(place, signal) }
}

/** True if it was stopped. */
export async function resume(place: RunPlace, signal: AbortSignal): Promise<boolean> {
  const { virsh, uuid } = place
  const isStopped = isStoppedByError(await readDomain(virsh, uuid, signal))
  if (isStopped) await virsh.run(['resume', uuid], signal)
  await forgetStop(place)
  return isStopped
}
