/**
 * A machine that is made anew in vSphere from a portable description, its disks filled over HTTPS.
 *
 * It is called `NAME (unfinished …)` until all of it is written, so that nothing half-written looks
 * complete, and has no network: an address of the machine it was may be in use. A machine that it
 * replaces is touched only then: renamed, and deleted when the new one has its name.
 */

import { deadline, throwIfAborted } from '../../base/clock.ts'
import { mapBounded } from '../../base/bounded.ts'
import type { RandomBytes } from '../../base/random.ts'
import { Fault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import type { MachineDescription, MachineInMaking } from '../../catalog/mod.ts'
import type { BlockSource } from '../../disk/mod.ts'
import { DatastoreReader } from './datastore.ts'
import type { VimDisk } from './devices.ts'
import { flatFileOf } from './flat-disk.ts'
import { openFolderSource } from './folder-source.ts'
import { diskPlaces, machineSpec } from './machine-spec.ts'
import { findPlace, type PlaceNames } from './place.ts'
import { checkOff, replaced, takeName, unfinished, unfinishedNotes } from './new-name.ts'
import { readMachine } from './snapshots.ts'
import type { VimClient } from './vim/client.ts'
import { propertiesOf } from './vim/properties.ts'
import { morefElement, morefOf, textElement, type Moref } from './vim/soap.ts'
import { taskResult } from './vim/tasks.ts'
import { childOf, type XmlElement } from '../../base/xml.ts'

const TASK_LIMIT_MS = 30 * 60_000
const REMOVE_LIMIT_MS = 5 * 60_000
const RUN_BYTES = 4 * 1024 * 1024
const RUNS_IN_FLIGHT = 4

export interface MakeRequest {
  readonly name: string
  readonly description: MachineDescription
  /** Where there is a machine of that name that is off, it goes once the new one is complete. */
  readonly replace: boolean
  readonly random: RandomBytes
}

/** Faults: `usage`, `already-exists`, `machine-*`, `platform-*`, `no-space`. */
export async function makeMachine(
  client: VimClient, names: PlaceNames, { name, description, replace, random }: MakeRequest,
  signal: AbortSignal,
): Promise<MachineInMaking> {
  const old = await takeName(client, name, replace, async (ref) => {
    await run(client, 'Destroy_Task', ref, '', REMOVE_LIMIT_MS, signal)
  }, signal)
  const place = await findPlace(client, names, signal)
  const folder = old === undefined ? place.folder : await folderOf(client, old.ref, signal)
  throwIfAborted(signal)
  const temporaryName = unfinished(name, random)
  const spec = machineSpec({
    name: temporaryName, notes: unfinishedNotes(), datastore: place.datastore }, description)
  const created = await run(client, 'CreateVM_Task', folder ?? place.folder,
    `<config>${spec}</config>${morefElement('pool', place.pool)}`,
    TASK_LIMIT_MS, new AbortController().signal)
  const ref = morefOf(created, 'the new machine')
  const reader = new DatastoreReader(client, place.datacenter)
  const making = new VsphereMachineInMaking(
    client, reader, ref, { temporary: temporaryName, final: name }, old?.ref)
  try {
    await making.findDisks(description, signal)
    return making
  } catch (error) {
    await making[Symbol.asyncDispose]()
    throw error
  }
}

/** The folder that a machine lies in; undefined for one in a vApp. */
async function folderOf(
  client: VimClient, machine: Moref, signal: AbortSignal): Promise<Moref | undefined> {
  const parent = (await propertiesOf(client, machine, ['parent'], signal)).values.get('parent')
  const found = parent === undefined ? undefined : morefOf(parent, 'a parent folder')
  return found?.type === 'Folder' ? found : undefined
}

class VsphereMachineInMaking implements MachineInMaking {
  readonly #client: VimClient
  readonly #reader: DatastoreReader
  readonly #ref: Moref
  readonly #names: { readonly temporary: string; readonly final: string }
  /** What it replaces. */
  readonly #old: Moref | undefined
  readonly #disks = new Map<string, VimDisk>()
  #isFinished = false

  constructor(
    client: VimClient, reader: DatastoreReader, ref: Moref,
    names: { readonly temporary: string; readonly final: string }, old: Moref | undefined) {
    this.#client = client
    this.#reader = reader
    this.#ref = ref
    this.#names = names
    this.#old = old
  }

  /** Which of the new disks is which of the description. Fault: `platform-protocol`. */
  async findDisks(description: MachineDescription, signal: AbortSignal): Promise<void> {
    const { disks } = await readMachine(this.#client, this.#ref, signal)
    for (const [id, place] of diskPlaces(description.disks)) {
      const found = disks.find((disk) => disk.id === `${place.bus}0-${place.unit}`)
      if (found === undefined) {
        throw new Fault('platform-protocol', `vSphere made no disk for ${printable(id, 64)}`)
      }
      this.#disks.set(id, found)
    }
  }

  async fill(
    diskId: string, source: BlockSource, onWritten: (bytes: number) => void, signal: AbortSignal,
  ): Promise<void> {
    const disk = this.#disks.get(diskId)
    if (disk === undefined) throw new Fault('not-found', `the new machine has no disk ${diskId}`)
    const file = flatFileOf(disk)
    await this.#reader.put(
      file, disk.sizeBytes, contentOf(source, disk.sizeBytes, onWritten, signal), signal)
    await using written = await openFolderSource(this.#reader, file, disk.sizeBytes, signal)
    await compareEnds(source, written, signal)
  }

  async finish(signal: AbortSignal): Promise<void> {
    const name = this.#names.final
    const old = this.#old
    if (old !== undefined) checkOff(await readMachine(this.#client, old, signal))
    throwIfAborted(signal)
    // Not to be aborted: in between nothing bears the name.
    using limit = deadline(this.#client.clock, TASK_LIMIT_MS, 'the new name of the machine')
    try {
      if (old !== undefined) await this.#rename(old, replaced(name), '', limit.signal)
      await this.#rename(this.#ref, name, textElement('annotation', ''), limit.signal)
    } catch (error) {
      if (old !== undefined) await this.#giveBack(old)
      throw error
    }
    this.#isFinished = true
    if (old !== undefined) await this.#destroy(old, replaced(name))
  }

  /** One change of its settings; `notes` is an element, or empty to leave them. */
  async #rename(
    machine: Moref, name: string, notes: string, signal: AbortSignal): Promise<void> {
    await run(this.#client, 'ReconfigVM_Task', machine,
      `<spec>${textElement('name', name)}${notes}</spec>`, TASK_LIMIT_MS, signal)
  }

  /** The machine that was to be replaced is called as before. */
  async #giveBack(old: Moref): Promise<void> {
    const name = this.#names.final
    using limit = deadline(this.#client.clock, REMOVE_LIMIT_MS, 'the old name of the machine')
    await this.#rename(old, name, '', limit.signal).catch((error: unknown) =>
      this.#left(replaced(name), error, `Rename it to ${name} in vSphere.`))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isFinished) return
    this.#isFinished = true
    await this.#destroy(this.#ref, this.#names.temporary)
  }

  async #destroy(machine: Moref, name: string): Promise<void> {
    using limit = deadline(this.#client.clock, REMOVE_LIMIT_MS, 'the removal of the machine')
    await run(this.#client, 'Destroy_Task', machine, '', REMOVE_LIMIT_MS, limit.signal)
      .catch((error: unknown) => this.#left(name, error, 'Delete it from disk in vSphere.'))
  }

  #left(machine: string, error: unknown, advice: string): void {
    this.#client.log.error('vsphere.machine-left', {
      machine, message: error instanceof Error ? error.message : String(error), advice })
  }
}

/** All of the disk in order, and zeros up to the size that vSphere made of it. */
async function* contentOf(
  source: BlockSource, sizeBytes: number, onWritten: (bytes: number) => void, signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const count = Math.ceil(source.sizeBytes / RUN_BYTES)
  const offsets = Array.from({ length: count }, (_, at) => at * RUN_BYTES)
  let done = 0
  for await (const bytes of mapBounded(offsets, { inFlight: RUNS_IN_FLIGHT }, (offset) =>
    source.read(offset, Math.min(RUN_BYTES, source.sizeBytes - offset), signal))) {
    yield bytes
    done += bytes.length
    onWritten(done)
  }
  if (sizeBytes > done) yield new Uint8Array(sizeBytes - done)
}

/** That the first and the last bytes are there: a server that cut or mixed files up is noticed. */
async function compareEnds(
  source: BlockSource, written: BlockSource, signal: AbortSignal): Promise<void> {
  const length = Math.min(4096, source.sizeBytes)
  for (const offset of [0, source.sizeBytes - length]) {
    const [wanted, there] = [
      await source.read(offset, length, signal), await written.read(offset, length, signal)]
    if (Buffer.compare(wanted, there) !== 0) {
      throw new Fault('disk-lost', `${written.name} does not hold what was written to it`)
    }
  }
}

async function run(
  client: VimClient, method: string, self: Moref, args: string, limitMs: number,
  signal: AbortSignal,
): Promise<XmlElement | undefined> {
  const doing = `${method.replace('_Task', '')} of the machine`
  const answer = await client.call(method, self, args, { changes: true, doing }, signal)
  return taskResult(client, morefOf(childOf(answer, 'returnval'), `the task of ${method}`),
    { doing, limitMs }, signal)
}
