/** One snapshot of a machine: taken in one call of vSphere, read from its datastore, removed. */

import { deadline, throwIfAborted } from '../../base/clock.ts'
import { Fault, isFault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import type {
  DiskLeftOut, PlatformHeldSet, PowerState, QuiescedSet, QuiesceLevel, QuiesceWish, SetDisk,
  SetTracking,
} from '../../consistency/mod.ts'
import { withChanges, type BlockSource } from '../../disk/mod.ts'
import { hotChanges } from '../machine/hot-changes.ts'
import { giveBack, UNTRACKED } from '../machine/platform-set.ts'
import { DatastoreReader, fileIn, parseDatastorePath } from './datastore.ts'
import { parseDevices, type VimDisk } from './devices.ts'
import { flatFileOf, whyNotReadable } from './flat-disk.ts'
import { openFolderSource } from './folder-source.ts'
import type { VimMachine } from './machine.ts'
import { assessQuiesce, type ManifestFile } from './quiesce.ts'
import { bestLevel, isWindows } from './remarks.ts'
import {
  enableTracking, finishSnapshot, markActive, nameFor, readMachine, removeSnapshot,
  snapshotHardware, startSnapshot, type Quiescing,
} from './snapshots.ts'
import type { VsphereTracking } from './tracking.ts'
import type { VddkOptions } from './vddk/vddk-options.ts'
import { openVddkSource } from './vddk/vddk-source.ts'
import type { VimClient } from './vim/client.ts'
import type { Moref } from './vim/soap.ts'

/** For the release; what is still at work at the server then goes on there. */
const RELEASE_LIMIT_MS = 35 * 60_000
/** A server that did not answer may still be about to begin what it was asked for. */
const UNKNOWN_PAUSE_MS = 10_000
/** Documents of all writers of a large server. */
const MAX_MANIFEST_BYTES = 16 * 1024 * 1024

export interface SetParts {
  readonly client: VimClient
  /** As it was at the preparation. */
  readonly machine: VimMachine
  readonly pointId: string
  readonly disks: readonly VimDisk[]
  readonly leftOut: readonly DiskLeftOut[]
  readonly reader: DatastoreReader
  /** Undefined where the request asked for none. */
  readonly tracking: VsphereTracking | undefined
  /** Undefined: disks are read from their datastore. */
  readonly vddk: VddkOptions | undefined
}

interface HeldInstant {
  readonly snapshot: Moref
  /** By disk id, as the snapshot has them. */
  readonly files: ReadonlyMap<string, VimDisk>
}

export class VsphereSet implements PlatformHeldSet {
  readonly heldBy = 'platform'
  readonly expected: QuiesceLevel
  readonly disks: readonly SetDisk[]
  readonly leftOut: readonly DiskLeftOut[]
  readonly power: PowerState
  readonly tracking?: SetTracking
  readonly #parts: SetParts
  /** Until it is disposed, its snapshots are no orphans. */
  readonly #active: Disposable
  /** From the moment on at which a snapshot of ours may exist. */
  #mayExist = false
  /** What makes a snapshot, until it has ended. */
  #making: Moref | undefined
  /** A snapshot was asked for, and the answer is not known. */
  #isUnknown = false

  constructor(parts: SetParts) {
    this.#parts = parts
    this.#active = markActive(parts.pointId)
    this.expected = bestLevel(parts.machine, parts.disks)
    this.disks = parts.disks.map(({ id, sizeBytes }) => ({ id, sizeBytes }))
    this.leftOut = parts.leftOut
    this.power = parts.machine.power
    if (parts.tracking !== undefined) this.tracking = parts.tracking
  }

  async commitQuiesced(wish: QuiesceWish, signal: AbortSignal): Promise<QuiescedSet> {
    throwIfAborted(signal)
    const { client, machine } = this.#parts
    const asked = wish === 'never' ? 'none' : this.#quiescing()
    const { snapshot, failure } = await this.#take(asked, wish, signal)
    const files = await this.#filesOf(snapshot, signal)
    const { changes, lostBases } =
      await this.#parts.tracking?.take(snapshot, files, signal) ?? UNTRACKED
    const after = await readMachine(client, machine.ref, signal)
    const taken = after.snapshots.find(({ ref }) => ref.id === snapshot.id)
    const quiesce = assessQuiesce({
      asked, failure, saysQuiesced: taken?.quiesced === true, before: machine, after,
      manifest: await this.#manifest(taken?.manifest, after, signal),
    })
    return {
      method: 'vsphere-snapshot', oneInstant: true, quiesce, lostBases,
      open: async (diskId, signal) => withChanges(
        await this.#open(diskId, { snapshot, files }, signal), changes.get(diskId)),
      stillIntact: (signal) => this.#stillIntact(snapshot, signal),
    }
  }

  /** Asked of a guest that can be asked; of others vSphere would ignore it. */
  #quiescing(): Quiescing {
    const { machine } = this.#parts
    if (machine.power !== 'running' || machine.tools.running !== 'guestToolsRunning') return 'none'
    return isWindows(machine) ? 'windows' : 'linux'
  }

  /**
   * A snapshot that could not be quiesced is tried once more without, where that is wished; that it
   * was is recorded.
   */
  async #take(asked: Quiescing, wish: QuiesceWish, signal: AbortSignal): Promise<{
    readonly snapshot: Moref; readonly failure: string | undefined }> {
    const { client } = this.#parts
    this.#mayExist = true
    try {
      return { snapshot: await this.#make(asked, signal), failure: undefined }
    } catch (error) {
      throwIfAborted(signal)
      if (asked === 'none' || wish === 'or-fail' || !isFault(error, 'freeze-failed')) throw error
      const why = error.cause instanceof Error ? error.cause.message : error.message
      client.log.warn('vsphere.quiesce-failed', { reason: printable(why, 400) })
      await this.#removeAll(signal)
      return { snapshot: await this.#make('none', signal), failure: why }
    }
  }

  async #make(quiescing: Quiescing, signal: AbortSignal): Promise<Moref> {
    const { client, machine, pointId } = this.#parts
    throwIfAborted(signal)
    try {
      // Not to be aborted: who asked for a snapshot must learn of the task that makes it.
      this.#making = await startSnapshot(
        client, machine.ref, pointId, quiescing, new AbortController().signal)
    } catch (error) {
      this.#isUnknown = isFault(error, 'platform-unreachable', 'platform-protocol', 'timed-out')
      throw error
    }
    const snapshot = await finishSnapshot(client, this.#making, signal)
    this.#making = undefined // else it may go on, and its snapshot appear later
    return snapshot
  }

  /** The files that hold the instant, by disk id. Fault: `chain-not-flat`, `disk-unreadable`. */
  async #filesOf(snapshot: Moref, signal: AbortSignal): Promise<ReadonlyMap<string, VimDisk>> {
    const { client, disks } = this.#parts
    const captured = parseDevices(await snapshotHardware(client, snapshot, signal)).disks
    return new Map(disks.map((disk) => {
      const found = captured.find(({ key }) => key === disk.key)
      if (found === undefined || found.sizeBytes !== disk.sizeBytes) {
        throw new Fault('snapshot-failed',
          `the snapshot does not hold disk ${disk.id} as it was before`, { retry: 'now' })
      }
      const why = whyNotReadable(found, this.#parts.vddk === undefined ? 'folder' : 'vddk')
      if (why !== undefined) throw why
      return [disk.id, found]
    }))
  }

  async #manifest(
    name: string | undefined, { snapshotDirectory }: VimMachine, signal: AbortSignal,
  ): Promise<ManifestFile> {
    if (name === undefined) return { missing: 'the snapshot names no manifest' }
    try {
      const folder = parseDatastorePath(snapshotDirectory)
      const bytes = await this.#parts.reader.small(
        fileIn(folder, name), MAX_MANIFEST_BYTES, signal)
      return bytes === undefined ? { missing: `the manifest ${name} is not there` }
        : { name, bytes }
    } catch (error) {
      throwIfAborted(signal)
      if (!isFault(error)) throw error
      return { missing: `the manifest cannot be read: ${error.message}` }
    }
  }

  async #open(
    diskId: string, { snapshot, files }: HeldInstant, signal: AbortSignal,
  ): Promise<BlockSource> {
    const { client, machine, reader, vddk } = this.#parts
    const disk = files.get(diskId)
    if (disk === undefined) throw new Fault('not-found', `no disk ${diskId} in the set`)
    const { sizeBytes, backing: { fileName } } = disk
    if (vddk === undefined) return openFolderSource(reader, flatFileOf(disk), sizeBytes, signal)
    const { hostname: host, port } = client.port.http.url
    const thumbprint = await client.port.http.thumbprint(signal)
    return openVddkSource({
      options: vddk, server: { host, port, thumbprint }, sizeBytes,
      disk: { machine: machine.ref, snapshot, fileName } }, client.clock, signal)
  }

  async #stillIntact(
    snapshot: Moref, signal: AbortSignal,
  ): Promise<{ readonly intact: true } | { readonly broken: string }> {
    const { client, machine } = this.#parts
    const now = await readMachine(client, machine.ref, signal)
    return now.snapshots.some(({ ref }) => ref.id === snapshot.id) ? { intact: true }
      : { broken: 'the snapshot was removed while it was being read' }
  }

  async recheck(signal: AbortSignal): Promise<readonly DiskLeftOut[]> {
    const { client, machine } = this.#parts
    const now = await readMachine(client, machine.ref, signal)
    return hotChanges(this.#parts, { disks: now.disks, leftOut: [] })
  }

  async powerNow(signal: AbortSignal): Promise<PowerState> {
    const { client, machine } = this.#parts
    return (await readMachine(client, machine.ref, signal)).power
  }

  /** All snapshots of this run, by its name: also one whose making was cut off. */
  async #removeAll(signal: AbortSignal): Promise<void> {
    const { client, machine, pointId } = this.#parts
    if (this.#isUnknown) await client.clock.sleep(UNKNOWN_PAUSE_MS, signal)
    if (this.#making !== undefined) {
      await finishSnapshot(client, this.#making, signal).catch((error: unknown) => {
        throwIfAborted(signal)
        client.log.debug('vsphere.snapshot-not-made', { reason: String(error) })
      })
      this.#making = undefined
    }
    const now = await readMachine(client, machine.ref, signal)
    for (const { ref, name } of now.snapshots) {
      if (name === nameFor(pointId)) await removeSnapshot(client, ref, signal)
    }
  }

  /**
   * Switches change tracking on, which takes effect once the machine was held for a moment: by a
   * snapshot that is removed again. That it cannot be done is no fault. Call it before the commit.
   */
  async beginTracking(signal: AbortSignal): Promise<void> {
    const { client, machine } = this.#parts
    try {
      await enableTracking(client, machine.ref, signal)
      this.#mayExist = true
      await this.#make('none', signal)
      await this.#removeAll(signal)
    } catch (error) {
      throwIfAborted(signal)
      if (!isFault(error)) throw error
      client.log.warn('vsphere.not-tracked', { reason: error.message })
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.tracking?.settle()
    if (this.#mayExist) await this.#release()
    this.#active[Symbol.dispose]()
  }

  async #release(): Promise<void> {
    const { client, machine, pointId } = this.#parts
    using limit = deadline(client.clock, RELEASE_LIMIT_MS, 'the release of the snapshot')
    const fate = await giveBack({
      clock: client.clock, log: client.log, gone: 'machine-lost', left: 'vsphere.snapshot-left',
      fields: { machine: machine.name, snapshot: nameFor(pointId) },
    }, (signal) => this.#removeAll(signal), limit.signal)
    if (fate !== 'removed') return
    this.#mayExist = false
    await this.#warnOfLeftFiles(limit.signal)
  }

  async #warnOfLeftFiles(signal: AbortSignal): Promise<void> {
    const { client, machine } = this.#parts
    const now = await readMachine(client, machine.ref, signal).catch(() => undefined)
    if (now?.needsConsolidation !== true) return
    client.log.warn('vsphere.consolidation-needed', {
      machine: machine.name, advice: 'Consolidate its disks (vSphere Client, Snapshots).' })
  }
}
