/** What a killed run left for a machine: its backup job, its scratch files. */

import { existsSync } from 'node:fs'
import { readdir, rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { deadline, systemClock, type Clock } from '../../base/clock.ts'
import { Fault, isFault } from '../../base/fault.ts'
import { systemRandom } from '../../base/random.ts'
import { endServersOf } from '../../base/working-folder.ts'
import { OURS } from '../machine/run-names.ts'
import { parseLibvirtAgent } from './agent-address.ts'
import { endJob, findJob, type RunningJob } from './backup-job.ts'
import { isStoppedByError, readDomain } from './domain.ts'
import { ownerOf } from './names.ts'
import { deleteCheckpointOf } from './tracking.ts'
import { Virsh, type VirshCommands } from './virsh.ts'

/** For a killed run's leftovers: what QEMU copies just then ends first. */
const ABANDONED_MS = 40_000

export interface LeftoverPlace {
  readonly virsh: VirshCommands
  readonly uuid: string
  readonly runDir: string
  readonly clock: Clock
}

/**
 * Is there from before a dead run's job ends, which tells whose stop it is, until the machine goes
 * on: whoever is killed in between, the next run knows.
 */
function stopMark({ runDir, uuid }: LeftoverPlace): string {
  return join(runDir, `${OURS}${uuid}.stopped`)
}

/**
 * Ends a job of ours whose process is gone, and resumes the machine if QEMU had stopped it for its
 * scratch space. `elsewhere`: also one of which it cannot be told. What was done, one phrase each.
 * Faults: `machine-busy` for any other job, `platform-*`, `timed-out`.
 */
export async function endLeftJob(
  place: LeftoverPlace, elsewhere: boolean, signal: AbortSignal,
): Promise<readonly string[]> {
  const { virsh, uuid, clock } = place
  const job = await findJob(virsh, uuid, signal)
  if (job === undefined) return []
  const { owner } = job
  if (owner === undefined || owner.process === 'alive' ||
    (owner.process === 'elsewhere' && !elsewhere)) throw busy(job)
  await writeFile(stopMark(place), '')
  await endJob(virsh, uuid, owner.run, clock, signal)
  return [`backup job of run ${owner.run}`, ...await resume(place, signal)]
}

async function resume(place: LeftoverPlace, signal: AbortSignal): Promise<readonly string[]> {
  const { virsh, uuid } = place
  const isStopped = isStoppedByError(await readDomain(virsh, uuid, signal))
  if (isStopped) await virsh.run(['resume', uuid], signal)
  await rm(stopMark(place), { force: true })
  return isStopped ? ['stop of the machine over its full scratch'] : []
}

/**
 * As `endLeftJob`, of a machine that QEMU has stopped, and before anything else: until it goes on
 * nobody in it can release what is held. A job of others is left alone.
 */
export async function resumeStopped(
  place: LeftoverPlace, elsewhere: boolean, signal: AbortSignal): Promise<readonly string[]> {
  if (!isStoppedByError(await readDomain(place.virsh, place.uuid, signal))) {
    await rm(stopMark(place), { force: true })
    return []
  }
  try {
    const ended = await endLeftJob(place, elsewhere, signal)
    return ended.length > 0 || !existsSync(stopMark(place)) ? ended : await resume(place, signal)
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

/** For the guardian of a dead requestor: ends its job, and forgets the point that is not sealed. */
export async function sweepAbandonedRun(address: string, prefix: string): Promise<void> {
  const agent = parseLibvirtAgent(address)
  if (agent === undefined) return
  const run = prefix.slice(OURS.length).replace(/-$/, '')
  using limit = deadline(systemClock, ABANDONED_MS, 'the clean-up')
  await using virsh = new Virsh(agent.uri, systemClock, systemRandom)
  const { uuid } = agent
  const isOurs = await endJob(virsh, uuid, run, systemClock, limit.signal)
  if (isOurs && isStoppedByError(await readDomain(virsh, uuid, limit.signal))) {
    await virsh.run(['resume', uuid], limit.signal)
  }
  await deleteCheckpointOf(virsh, uuid, run, limit.signal)
}
