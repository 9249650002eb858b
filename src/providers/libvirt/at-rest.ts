/**
 * A machine that does not run: libvirt begins a backup job of running machines alone, so the images
 * are read as they lie. No lock is held, so that the machine can be started at any moment; whether
 * that was done, or anybody else wrote to an image, is seen behind the last read.
 */

import { join } from 'node:path'
import type { Clock } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import type {
  CommittedSet, DiskLeftOut, FreezerMissing, PowerState, RequestorHeldSet, SetDisk,
} from '../../consistency/mod.ts'
import { serveChain, type BlockSource } from '../../disk/mod.ts'
import { openCapturedDisk } from '../machine/captured-disk.ts'
import type { DiscoveredDisks } from '../machine/choose-disks.ts'
import { findDisk, intactUnless, powerIfKnown } from '../machine/held-set.ts'
import { hotChanges } from '../machine/hot-changes.ts'
import { checkUnused, readChain, stampOf, type RestingImage } from '../machine/image-chain.ts'
import { discoverDisks, type LibvirtDisk } from './disks.ts'
import { powerOf, readDomain } from './domain.ts'
import type { JobNames } from './names.ts'
import type { RestingTracking } from './tracking.ts'
import type { Virsh } from './virsh.ts'

export interface RestingDisk extends LibvirtDisk {
  readonly image: RestingImage
}

export function isAtRest(power: PowerState): power is 'off' | 'saved' {
  return power === 'off' || power === 'saved'
}

/** Leaves out what can be captured only while the machine runs. Faults: as `readChain`. */
export async function restingDisks(
  found: DiscoveredDisks<LibvirtDisk>, signal: AbortSignal): Promise<DiscoveredDisks<RestingDisk>> {
  const disks: RestingDisk[] = []
  const leftOut: DiskLeftOut[] = [...found.leftOut]
  for (const disk of found.disks) {
    const image = disk.file === undefined
      ? { why: 'it is no file, and who writes to it cannot be told while the machine does not run' }
      : await readChain(disk.file, disk.format, signal)
    if ('why' in image) leftOut.push({ id: disk.id, reason: 'unsupported', detail: image.why })
    else disks.push({ ...disk, sizeBytes: image.sizeBytes, image })
  }
  return { ...found, disks, leftOut }
}

export interface AtRestParts {
  readonly virsh: Virsh
  readonly uuid: string
  readonly major: number
  readonly names: JobNames
  readonly runDir: string
  readonly disks: readonly RestingDisk[]
  readonly leftOut: readonly DiskLeftOut[]
  readonly power: 'off' | 'saved'
  readonly tracking: RestingTracking | undefined
  readonly clock: Clock
}

export class AtRestSet implements RequestorHeldSet {
  readonly heldBy = 'requestor'
  readonly disks: readonly SetDisk[]
  readonly leftOut: readonly DiskLeftOut[]
  readonly power: PowerState
  readonly freezer: FreezerMissing = {
    missing: 'agent-silent', detail: 'the machine does not run, so nothing is frozen' }
  declare readonly tracking?: RestingTracking
  readonly #parts: AtRestParts
  readonly #stamps: readonly string[]
  readonly #opened = new AsyncDisposableStack()
  #servers = 0
  #disposed: Promise<void> | undefined

  private constructor(parts: AtRestParts, stamps: readonly string[]) {
    this.#parts = parts
    this.#stamps = stamps
    this.disks = parts.disks.map(({ id, sizeBytes }) => ({ id, sizeBytes }))
    this.leftOut = parts.leftOut
    this.power = parts.power
    if (parts.tracking !== undefined) this.tracking = parts.tracking
  }

  /** Faults: `machine-busy` if anybody has an image open for writing. */
  static async prepare(parts: AtRestParts, signal: AbortSignal): Promise<AtRestSet> {
    const stamps: string[] = []
    for (const { image } of parts.disks) {
      stamps.push(await stampOf(image))
      await checkUnused(image, signal)
    }
    return new AtRestSet(parts, stamps)
  }

  commit(): Promise<CommittedSet> {
    return Promise.resolve({
      method: 'at-rest',
      oneInstant: true,
      open: (diskId, signal) => this.#open(diskId, signal),
      stillIntact: (signal) => intactUnless(() => this.#checkIntact(signal), signal),
    })
  }

  async #open(diskId: string, signal: AbortSignal): Promise<BlockSource> {
    const { disks, names, runDir, tracking, clock } = this.#parts
    const [, disk] = findDisk(disks, diskId)
    await using opened = new AsyncDisposableStack()
    const folder = join(runDir, names.folder(this.#servers++))
    const bitmap = tracking?.bitmapOf(disk.id)
    const server = opened.use(await serveChain(
      { chain: disk.image.chain, exportName: disk.id, bitmap, folder }, clock, signal))
    const source = opened.use(await openCapturedDisk({
      socketPath: server.socketPath, id: disk.id, sizeBytes: disk.sizeBytes,
      scratchFolder: undefined, bitmap, givenUp: () => undefined }, clock, signal))
    const held = this.#opened.use(opened.move())
    return { ...source, [Symbol.asyncDispose]: () => held.disposeAsync() }
  }

  /** Who writes now is told by locks, who did by the files, and who will by libvirt. */
  async #checkIntact(signal: AbortSignal): Promise<void> {
    const { disks, power } = this.#parts
    for (const [index, { id, image }] of disks.entries()) {
      await checkUnused(image, signal)
      if (await stampOf(image) !== this.#stamps[index]) {
        throw new Fault('snapshot-broken', `disk ${id} was written to while it was read`)
      }
    }
    if (await this.powerNow(signal) !== power) {
      throw new Fault('snapshot-broken', 'the machine was started while it was read')
    }
  }

  async recheck(signal: AbortSignal): Promise<readonly DiskLeftOut[]> {
    const { virsh, uuid, major, disks, leftOut } = this.#parts
    return hotChanges({ disks, leftOut },
      discoverDisks(await readDomain(virsh, uuid, signal), major))
  }

  powerNow(signal: AbortSignal): Promise<PowerState | undefined> {
    const { virsh, uuid } = this.#parts
    return powerIfKnown(async () => powerOf(await readDomain(virsh, uuid, signal)))
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#disposed ??= this.#opened.disposeAsync()
    return this.#disposed
  }
}
