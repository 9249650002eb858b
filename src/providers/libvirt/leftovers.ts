/** What a killed run left for a machine: its backup job, its scratch files. */

import { readdir, rm } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { deadline, systemClock } from '../../base/clock.ts'
import { Fault, isFault } from '../../base/fault.ts'
import { systemRandom } from '../../base/random.ts'
import { endServersOf } from '../../base/working-folder.ts'
import { OURS } from '../machine/run-names.ts'
import { parseLibvirtAgent } from './agent-address.ts'
import { findJob, type RunningJob } from './backup-job.ts'
import { isStoppedByError, readDomain } from './domain.ts'
import { endRun, forgetStop, mayBeStopped, resume, type RunPlace } from './end-run.ts'
import { ownerOf } from './names.ts'
import { deleteCheckpointOf } from './tracking.ts'
import { Virsh } from './virsh.ts'

const STOP = 'stop of the machine over its full scratch'

/** For a killed run's leftovers: what QEMU copies just then ends first. */
const ABANDONED_MS = 40_000

/**
 * Ends a job of ours whose process is gone, and resumes the machine if QEMU had stopped it for its
 * scratch space. `elsewhere`: also one of which it cannot be told. What was done, one phrase each.
 * Faults: `machine-busy` for any other job, `platform-*`, `timed-out`.
 */
export async function endLeftJob(
  place: RunPlace, elsewhere: boolean, signal: AbortSignal,
): Promise<readonly string[]> {
  const job = await findJob(place.virsh, place.uuid, signal)
  if (job === undefined) return []
  const { owner } = job
  if (owner === undefined || owner.process === 'alive' ||
    (owner.process === 'elsewhere' && !elsewhere)) throw busy(job)
  const { resumed } = await endRun(place, owner.run, signal)
  return [`backup job of run ${owner.run}`, ...resumed ? [STOP] : []]
}

/**
 * As `endLeftJob`, of a machine that QEMU has stopped, and before anything else: until it goes on
 * nobody in it can release what is held. A job of others is left alone.
 */
export async function resumeStopped(
  place: RunPlace, elsewhere: boolean, signal: AbortSignal): Promise<readonly string[]> {
  if (!isStoppedByError(await readDomain(place.virsh, place.uuid, signal))) {
    await forgetStop(place)
    return []
  }
  try {
    const ended = await endLeftJob(place, elsewhere, signal)
    if (ended.length > 0 || !mayBeStopped(place)) return ended
    return await resume(place, signal) ? [STOP] : []
  } catch (error) {
    if (isFault(error, 'machine-busy')) return []
    throw error
  }
}

function busy({ owner }: RunningJob): Fault {
  const retry = 'later'
  switch (owner?.process) {
    case undefined:
      return new Fault('machine-busy', 'another program backs the machine up', {
        retry, advice: 'Wait until it has ended; nothing of it was touched.' })
    case 'alive':
      return new Fault('machine-busy', 'another run of Stillpoint backs the machine up', {
        retry, advice: 'Wait until it has ended.' })
    default:
      return new Fault('machine-busy',
        'a run of Stillpoint on another host or in a container backs the machine up', {
          retry, advice: 'Wait until it has ended; if it was killed, run: stillpoint recover.' })
  }
}

/**
 * Removes files that runs on this machine left in the folders, once no job of libvirt uses them: a
 * host that crashed leaves some; and ends a qemu-nbd that had no client yet. Their paths, and what
 * could not be removed.
 */
export async function removeLeftFiles(
  folders: readonly string[], uuid: string,
): Promise<{ readonly removed: readonly string[]; readonly problems: readonly string[] }> {
  const removed: string[] = []
  const problems: string[] = []
  for (const folder of new Set(folders)) {
    for (const name of await readdir(folder).catch(() => [])) {
      const owner = ownerOf(basename(name))
      if (owner?.machine !== uuid.slice(0, 8) || owner.process === 'alive') continue
      const file = join(folder, name)
      try {
        if (file.endsWith('.nbd')) await endServersOf(file)
        await rm(file, { recursive: true })
        removed.push(`file ${file}`)
      } catch (error) {
        problems.push(`file ${file}: ${error instanceof Error ? error.message : String(error)}`)
      }
    }
  }
  return { removed, problems }
}

/**
 * For the guardian of a dead requestor: ends its job, lets the machine go on, and forgets the point
 * that is not sealed.
 */
export async function sweepAbandonedRun(
  address: string, runDir: string, prefix: string): Promise<void> {
  const agent = parseLibvirtAgent(address)
  if (agent === undefined) return
  const run = prefix.slice(OURS.length).replace(/-$/, '')
  using limit = deadline(systemClock, ABANDONED_MS, 'the clean-up')
  await using virsh = new Virsh(agent.uri, systemClock, systemRandom)
  const { uuid } = agent
  await endRun({ virsh, uuid, runDir, clock: systemClock }, run, limit.signal)
  await deleteCheckpointOf(virsh, uuid, run, limit.signal)
}
