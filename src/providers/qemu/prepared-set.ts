/** The prepared and then captured disks of one QEMU machine. */

import { rm } from 'node:fs/promises'
import { abortable, deadline, type Clock } from '../../base/clock.ts'
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
import type { Captured, CaptureMethod } from './capture.ts'
import { discoverDisks, type QemuDisk } from './disks.ts'
import type { RunNames } from '../machine/run-names.ts'
import { isServed, type OwnNbdServer } from './nbd-server.ts'
import type { QmpConnection } from './qmp-connection.ts'
import { powerOf } from './power.ts'
import { ask } from './qmp-replies.ts'
import { sweepMachine } from './sweep.ts'
import type { QemuTracking } from './tracking.ts'

/** For the machine to be as it was; I/O under way may have to end first. */
const RELEASE_MS = 60_000

export interface PreparedParts {
  readonly qmp: QmpConnection
  readonly guard: Guard
  readonly method: CaptureMethod
  readonly names: RunNames
  readonly disks: readonly QemuDisk[]
  readonly leftOut: readonly DiskLeftOut[]
  readonly power: PowerState
  readonly freezer: FileSystemFreezer | FreezerMissing
  /** By disk, in their order. */
  readonly scratchFolders: readonly string[]
  readonly scratchSpaces: readonly ScratchSpace[]
  readonly nbd: OwnNbdServer
  readonly tracking: QemuTracking | undefined
  readonly clock: Clock
  readonly log: Log
}

export class QemuPreparedSet implements RequestorHeldSet {
  readonly heldBy = 'requestor'
  readonly disks: readonly SetDisk[]
  readonly leftOut: readonly DiskLeftOut[]
  readonly power: PowerState
  readonly freezer: FileSystemFreezer | FreezerMissing
  declare readonly tracking?: QemuTracking
  readonly #parts: PreparedParts
  #published: Promise<void> | undefined
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
    return powerIfKnown(async () => powerOf(await this.#parts.qmp.client(signal), signal))
  }

  async commit(signal: AbortSignal): Promise<CommittedSet> {
    const { method, disks, power, scratchSpaces, tracking, clock } = this.#parts
    const captured = await method.commit(disks, power, tracking?.switchActions ?? [], signal)
    this.#watching = watchScratch(scratchSpaces, clock, (fault) => this.#giveUp(fault))
    return {
      method: captured.method,
      oneInstant: true,
      open: (diskId, signal) => this.#open(captured, diskId, signal),
      stillIntact: (signal) => intactUnless(() => this.#checkIntact(captured, signal), signal),
    }
  }

  async #open(captured: Captured, diskId: string, signal: AbortSignal): Promise<BlockSource> {
    const { disks, scratchFolders, nbd, tracking, clock } = this.#parts
    const [index, disk] = findDisk(disks, diskId)
    if (this.#givenUp !== undefined) throw this.#givenUp
    // After the hold: nothing of this was needed to make the instant.
    this.#published ??= this.#publish(captured, signal)
    await abortable(this.#published, signal)
    return openCapturedDisk({
      socketPath: nbd.socketPath, id: disk.id, sizeBytes: disk.sizeBytes,
      scratchFolder: scratchFolders[index] ?? '/', bitmap: tracking?.bitmapOf(disk.id),
      givenUp: () => this.#givenUp }, clock, signal)
  }

  /**
   * Takes everything of ours out of the machine, the exports first: what is read from a filter
   * that the machine no longer writes through would be no instant.
   */
  #giveUp(fault: Fault): void {
    this.#givenUp = fault
    this.#parts.log.warn('qemu.capture-given-up', { reason: fault.message })
    this.#givingUp = removeFromMachine(this.#parts)
  }

  /** Adds the nodes that show the instant and exports them, read-only. */
  async #publish(captured: Captured, signal: AbortSignal): Promise<void> {
    const { qmp, names, disks, tracking, log } = this.#parts
    log.info('qemu.captured', {
      method: captured.method, stoppedMs: captured.stoppedMs, disks: disks.length })
    const client = await qmp.client(signal)
    for (const [index, disk] of disks.entries()) {
      const access = names.access(index)
      await client.execute('blockdev-add',
        { driver: 'snapshot-access', 'node-name': access, file: names.filter(index) }, signal)
      const bitmap = tracking?.bitmapOf(disk.id)
      await client.execute('block-export-add', {
        type: 'nbd', id: access, 'node-name': access, name: disk.id, writable: false,
        ...(bitmap === undefined ? {} : { bitmaps: [{ node: disk.node, name: bitmap }] }),
      }, signal)
    }
  }

  async #checkIntact(captured: Captured, signal: AbortSignal): Promise<void> {
    if (this.#givenUp !== undefined) throw this.#givenUp
    await this.#checkFilters(signal)
    await readEach(this.#parts.disks, (id) => this.#open(captured, id, signal), signal)
  }

  /** A device that writes past its filter changes the instant without QEMU noticing. */
  async #checkFilters(signal: AbortSignal): Promise<void> {
    const { qmp, method, names, disks } = this.#parts
    const now = await ask(await qmp.client(signal), 'query-block', signal)
    const inUse = new Set(now.map(({ inserted }) => inserted?.['node-name']))
    for (const [index, { id, node }] of disks.entries()) {
      const isPast = method.name === 'stop-window' && inUse.has(node)
      if (isPast && !inUse.has(names.filter(index))) {
        throw new Fault('snapshot-broken', `disk ${id} was taken from its filter by somebody else`)
      }
    }
  }

  async recheck(signal: AbortSignal): Promise<readonly DiskLeftOut[]> {
    const { qmp, disks, leftOut } = this.#parts
    const now = await discoverDisks(await qmp.client(signal), signal)
    return hotChanges({ disks, leftOut }, now)
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

type MachineParts = Pick<PreparedParts, 'qmp' | 'names' | 'nbd' | 'tracking' | 'clock' | 'log'>

/** What a prepared machine is given back by; never throws. Also for a prepare that fails midway. */
export async function releaseMachine(
  parts: MachineParts & { readonly guard: Guard }): Promise<void> {
  await removeFromMachine(parts)
  // By its socket the next run tells that a server which could not be stopped is ours.
  const { socketPath } = parts.nbd
  if (!await isServed(socketPath)) await rm(socketPath, { force: true }).catch(() => {})
  await parts.guard[Symbol.asyncDispose]()
}

async function removeFromMachine(
  { qmp, names, nbd, tracking, clock, log }: MachineParts): Promise<void> {
  using limit = deadline(clock, RELEASE_MS, 'giving the machine back')
  try {
    const client = await qmp.client(limit.signal)
    // A start without an answer may have been carried out.
    const stopNbd = nbd.isStarted || await isServed(nbd.socketPath) ? 'always' : 'never'
    const sweep = await sweepMachine(client, names.prefix, stopNbd, clock, limit.signal)
    if (sweep.removed.includes('NBD server')) nbd.isStarted = false
    if (sweep.problems.length > 0) log.error('qemu.leftovers', { problems: sweep.problems })
    await tracking?.settle(client, limit.signal) // an exported bitmap cannot be changed
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error)
    log.error('qemu.leftovers', { problems: [problem] })
  }
}
