/** The prepared and then captured disks of one machine of libvirt. */

import { rm } from 'node:fs/promises'
import { deadline, type Clock } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import type { Log } from '../../base/log.ts'
import type {
  CommittedSet, DiskLeftOut, FileSystemFreezer, FreezerMissing, PowerState, RequestorHeldSet,
  SetDisk,
} from '../../consistency/mod.ts'
import type { BlockSource } from '../../disk/mod.ts'
import type { Guard } from '../guardian/guard.ts'
import { openCapturedDisk } from '../machine/captured-disk.ts'
import { findDisk, intactUnless, powerIfKnown, readEach } from '../machine/held-set.ts'
import { hotChanges } from '../machine/hot-changes.ts'
import { watchScratch, type ScratchSpace } from '../machine/scratch-space.ts'
import { endJob, EXPORTED_BITMAP, findJob } from './backup-job.ts'
import { discoverDisks, type LibvirtDisk } from './disks.ts'
import { powerOf, readDomain, readIdleDomain } from './domain.ts'
import { endRun } from './end-run.ts'
import type { JobNames } from './names.ts'
import type { LibvirtTracking } from './tracking.ts'
import type { Virsh } from './virsh.ts'

/** For the machine to be as it was; I/O under way may have to end first. */
const RELEASE_MS = 60_000
/** The transaction takes milliseconds, making the scratch files tens; a disk asleep, seconds. */
const COMMIT_MS = 30_000

export interface PreparedParts {
  readonly virsh: Virsh
  readonly uuid: string
  readonly runDir: string
  readonly major: number
  readonly guard: Guard
  readonly names: JobNames
  readonly disks: readonly LibvirtDisk[]
  readonly leftOut: readonly DiskLeftOut[]
  readonly power: PowerState
  readonly freezer: FileSystemFreezer | FreezerMissing
  /** By disk, in their order. */
  readonly scratchFolders: readonly string[]
  readonly scratchSpaces: readonly ScratchSpace[]
  readonly socketPath: string
  /** Files of what `backup-begin` is given; the second only where changes are tracked. */
  readonly xmlFiles: readonly string[]
  readonly tracking: LibvirtTracking | undefined
  readonly clock: Clock
  readonly log: Log
}

export class LibvirtPreparedSet implements RequestorHeldSet {
  readonly heldBy = 'requestor'
  readonly disks: readonly SetDisk[]
  readonly leftOut: readonly DiskLeftOut[]
  readonly power: PowerState
  readonly freezer: FileSystemFreezer | FreezerMissing
  declare readonly tracking?: LibvirtTracking
  readonly #parts: PreparedParts
  #watching: Disposable | undefined
  #givenUp: Fault | undefined
  #givingUp: Promise<void> | undefined
  #disposed: Promise<void> | undefined

  constructor(parts: PreparedParts) {
    this.#parts = parts
    this.disks = parts.disks.map(({ id, sizeBytes }) => ({ id, sizeBytes }))
    this.leftOut = parts.leftOut
    this.power = parts.power
    this.freezer = parts.freezer
    if (parts.tracking !== undefined) this.tracking = parts.tracking
  }

  powerNow(signal: AbortSignal): Promise<PowerState | undefined> {
    const { virsh, uuid } = this.#parts
    return powerIfKnown(async () => powerOf(await readDomain(virsh, uuid, signal)))
  }

  async commit(signal: AbortSignal): Promise<CommittedSet> {
    const { virsh, uuid, xmlFiles, scratchSpaces, clock } = this.#parts
    const [backup = '', checkpoint] = xmlFiles
    this.#watching = watchScratch(scratchSpaces, clock, (fault) => this.#giveUp(fault))
    try {
      await virsh.run(['backup-begin', uuid, '--backupxml', backup,
        ...(checkpoint === undefined ? [] : ['--checkpointxml', checkpoint])],
      signal, { limitMs: COMMIT_MS })
    } catch (cause) {
      throw notCaptured(cause)
    }
    return {
      method: 'libvirt-backup',
      oneInstant: true,
      open: (diskId, signal) => this.#open(diskId, signal),
      stillIntact: (signal) => intactUnless(() => this.#checkIntact(signal), signal),
    }
  }

  async #open(diskId: string, signal: AbortSignal): Promise<BlockSource> {
    const { disks, scratchFolders, socketPath, tracking, clock } = this.#parts
    const [index, disk] = findDisk(disks, diskId)
    if (this.#givenUp !== undefined) throw this.#givenUp
    const since = tracking?.sinceOf(disk.id)
    return openCapturedDisk({
      socketPath, id: disk.id, sizeBytes: disk.sizeBytes,
      scratchFolder: scratchFolders[index] ?? '/',
      bitmap: since === undefined ? undefined : EXPORTED_BITMAP,
      givenUp: () => this.#givenUp }, clock, signal)
  }

  /** Before the scratch space is gone: then QEMU would stop the machine. */
  #giveUp(fault: Fault): void {
    this.#givenUp = fault
    this.#parts.log.warn('libvirt.capture-given-up', { reason: fault.message })
    this.#givingUp = endAndResume(this.#parts)
  }

  async #checkIntact(signal: AbortSignal): Promise<void> {
    const { virsh, uuid, names, disks } = this.#parts
    if (this.#givenUp !== undefined) throw this.#givenUp
    const job = await findJob(virsh, uuid, signal)
    if (job?.owner?.run !== names.run) {
      throw new Fault('snapshot-broken', 'the backup job in libvirt was ended by somebody else')
    }
    await readEach(disks, (id) => this.#open(id, signal), signal)
  }

  async recheck(signal: AbortSignal): Promise<readonly DiskLeftOut[]> {
    const { virsh, uuid, major, disks, leftOut } = this.#parts
    return hotChanges({ disks, leftOut },
      discoverDisks(await readIdleDomain(virsh, uuid, signal), major))
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#watching?.[Symbol.dispose]()
    this.#disposed ??= (async () => {
      await this.#givingUp
      await releaseMachine(this.#parts)
    })()
    return this.#disposed
  }
}

type MachineParts = Pick<PreparedParts,
  'virsh' | 'uuid' | 'runDir' | 'names' | 'power' | 'xmlFiles' | 'tracking' | 'clock' | 'log'>

/** What a prepared machine is given back by; never throws. Also for a prepare that fails midway. */
export async function releaseMachine(
  parts: MachineParts & { readonly guard: Guard }): Promise<void> {
  const { virsh, uuid, tracking, xmlFiles, clock, log } = parts
  await endAndResume(parts)
  using limit = deadline(clock, RELEASE_MS, 'giving the machine back')
  try {
    if (tracking !== undefined && await findJob(virsh, uuid, limit.signal) === undefined) {
      await tracking.settle(limit.signal)
    }
  } catch (error) {
    log.error('libvirt.leftovers', { problems: [wordsOf(error)] })
  }
  for (const file of xmlFiles) await rm(file, { force: true }).catch(() => {})
  await parts.guard[Symbol.asyncDispose]()
}

/** Ends our job, and lets the machine run again if its scratch space ran out under it. */
async function endAndResume(
  { virsh, uuid, runDir, names, power, clock, log }: MachineParts): Promise<void> {
  using limit = deadline(clock, RELEASE_MS, 'ending the backup job')
  try {
    if (power !== 'running') { // whatever stopped it was before us
      await endJob(virsh, uuid, names.run, { clock }, limit.signal)
      return
    }
    const { resumed } = await endRun({ virsh, uuid, runDir, clock }, names.run, limit.signal)
    if (!resumed) return
    log.error('libvirt.machine-resumed', { reason: 'QEMU had stopped it: the scratch was full' })
  } catch (error) {
    log.error('libvirt.leftovers', { problems: [wordsOf(error)] })
  }
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

function notCaptured(cause: unknown): unknown {
  if (!(cause instanceof Fault) || cause.code === 'interrupted') return cause
  if (cause.code === 'machine-not-found' || /domain is not running/.test(cause.message)) {
    return new Fault('machine-lost', 'the machine ended before it was captured', { cause })
  }
  return new Fault('snapshot-failed', `libvirt did not begin the capture: ${cause.message}`, {
    cause, retry: 'later', advice: /[Pp]ermission denied|bind|socket/.test(cause.message)
      ? 'QEMU may not use the folder for sockets or scratch files: see docs/operations/libvirt.md.'
      : 'Look at the log of libvirtd, and run the backup again.' })
}
