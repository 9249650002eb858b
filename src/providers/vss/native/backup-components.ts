/**
 * IVssBackupComponents, IVssAsync and IVssExamineWriterMetadata: each method that is used, under
 * its own name. Nothing is decided here.
 *
 * Places in the vtables: vsbackup.h and vswriter.h of mingw-w64; those of IVssBackupComponents are
 * the ones that other requestors call on real Windows.
 */

import type { Clock } from '../../../base/clock.ts'
import { Fault } from '../../../base/fault.ts'
import { S_ASYNC_FINISHED, S_ASYNC_PENDING, VssFault } from '../session/hresult.ts'
import type { SnapshotProperties, WriterStatus } from '../session/transport.ts'
import { AddedComponents } from './added-components.ts'
import {
  addressFrom, invoke, method, objectFrom, release,
  type Address, type Method, type SnapshotRecord, type Vss,
} from './com.ts'
import { emptyGuid, formatGuid, guidFields, NO_GUID } from './guid-fields.ts'
import { PART_UNITS } from './protocol.ts'

const BACKUP = {
  InitializeForBackup: method('InitializeForBackup', 5, 'address'),
  SetBackupState: method('SetBackupState', 6, 'flag', 'flag', 'int', 'flag'),
  GatherWriterMetadata: method('GatherWriterMetadata', 9, 'outAddress'),
  GetWriterMetadataCount: method('GetWriterMetadataCount', 10, 'outInt'),
  GetWriterMetadata: method('GetWriterMetadata', 11, 'int', 'outGuid', 'outAddress'),
  FreeWriterMetadata: method('FreeWriterMetadata', 12),
  AddComponent: method('AddComponent', 13, 'guid', 'guid', 'int', 'text', 'text'),
  PrepareForBackup: method('PrepareForBackup', 14, 'outAddress'),
  AbortBackup: method('AbortBackup', 15),
  GatherWriterStatus: method('GatherWriterStatus', 16, 'outAddress'),
  GetWriterStatusCount: method('GetWriterStatusCount', 17, 'outInt'),
  FreeWriterStatus: method('FreeWriterStatus', 18),
  GetWriterStatus: method(
    'GetWriterStatus', 19, 'int', 'outGuid', 'outGuid', 'outAddress', 'outInt', 'outInt'),
  SetBackupSucceeded: method(
    'SetBackupSucceeded', 20, 'guid', 'guid', 'int', 'text', 'text', 'flag'),
  SaveAsXML: method('SaveAsXML', 26, 'outAddress'),
  BackupComplete: method('BackupComplete', 27, 'outAddress'),
  SetContext: method('SetContext', 35, 'int'),
  StartSnapshotSet: method('StartSnapshotSet', 36, 'outGuid'),
  AddToSnapshotSet: method('AddToSnapshotSet', 37, 'text', 'guid', 'outGuid'),
  DoSnapshotSet: method('DoSnapshotSet', 38, 'outAddress'),
  GetSnapshotProperties: method('GetSnapshotProperties', 42, 'guid', 'outSnapshot'),
  IsVolumeSupported: method('IsVolumeSupported', 44, 'guid', 'text', 'outInt'),
} as const

const ASYNC = {
  Cancel: method('Cancel', 3),
  Wait: method('Wait', 4, 'int'),
  QueryStatus: method('QueryStatus', 5, 'outInt', 'address'),
} as const

const METADATA = {
  GetIdentity: method(
    'GetIdentity', 3, 'outGuid', 'outGuid', 'outAddress', 'outInt', 'outInt'),
  SaveAsXML: method('SaveAsXML', 12, 'outAddress'),
} as const

/** Steps that VSS does on its own time. */
export type AsyncStep =
  'GatherWriterMetadata' | 'PrepareForBackup' | 'GatherWriterStatus' | 'DoSnapshotSet' |
  'BackupComplete'

/** A component by its keys: GUIDs parsed, type as its number. */
export interface ComponentKeys {
  readonly instanceId: string
  readonly writerId: string
  readonly type: number
  readonly logicalPath: string | null
  readonly name: string
}

export interface WriterIdentity {
  readonly writerId: string
  readonly instanceId: string
  readonly name: string
}

/** Takes a document part by part; resolves when it is ready for the next. */
export type TakePart = (part: string) => Promise<void>

/** How long a thread stays in IVssAsync::Wait, so that the end of the process need not wait. */
const WAIT_MS = 200
/** Between two questions, should Wait return at once. */
const PAUSE_MS = 20
/** More than any host has; a number beyond it is no count. */
const MAX_WRITERS = 4096

const UNIX_EPOCH_MS = 11_644_473_600_000n
const FILETIME_TICKS_A_MS = 10_000n

export class BackupComponents {
  /** Those that were added, and what they say behind a failure. */
  readonly components: AddedComponents
  readonly #vss: Vss
  readonly #self: Address
  readonly #clock: Clock
  /** The IVssAsync of the step under way. */
  #running: Address | undefined
  #isCancelled = false
  /** The object may not go while it is being cancelled. */
  #cancelling: Promise<void> = Promise.resolve()

  private constructor(vss: Vss, self: Address, clock: Clock) {
    this.#vss = vss
    this.#self = self
    this.#clock = clock
    this.components = new AddedComponents(vss, self)
  }

  static async create(vss: Vss, clock: Clock): Promise<BackupComponents> {
    return new BackupComponents(vss, await vss.create(), clock)
  }

  /** InitializeForBackup, SetContext, SetBackupState with components and without partial files. */
  async initialize(
    context: number, backupType: number, isBootableSystemState: boolean): Promise<void> {
    await invoke(this.#self, BACKUP.InitializeForBackup, null)
    await invoke(this.#self, BACKUP.SetContext, context)
    await invoke(this.#self, BACKUP.SetBackupState,
      1, isBootableSystemState ? 1 : 0, backupType, 0)
  }

  /**
   * Starts a step and waits for its end. Rejects with a VssFault unless that is S_ASYNC_FINISHED;
   * a `cancel` meanwhile makes it S_ASYNC_CANCELLED.
   */
  async step(name: AsyncStep): Promise<void> {
    this.#isCancelled = false
    const task = await objectFrom(this.#self, BACKUP[name])
    this.#running = task
    try {
      if (this.#isCancelled) await this.cancel()
      for (;;) {
        const begunMs = this.#clock.monotonicMs()
        await invoke(task, ASYNC.Wait, WAIT_MS)
        const state = await statusOf(task)
        if (state === S_ASYNC_FINISHED) return
        if (state !== S_ASYNC_PENDING) throw new VssFault(name, state)
        if (this.#clock.monotonicMs() - begunMs < PAUSE_MS) {
          await this.#clock.sleep(PAUSE_MS, NEVER)
        }
      }
    } finally {
      this.#running = undefined
      await this.#cancelling.catch(() => {})
      await release(task)
    }
  }

  /** Cancels the step under way, or the one that is just being started. */
  async cancel(): Promise<void> {
    this.#isCancelled = true
    if (this.#running !== undefined) this.#cancelling = invoke(this.#running, ASYNC.Cancel)
    await this.#cancelling
  }

  writerCount(): Promise<number> {
    return this.#count(BACKUP.GetWriterMetadataCount)
  }

  /** GetWriterMetadata, and its GetIdentity and SaveAsXML. */
  async writerDocument(index: number, take: TakePart): Promise<WriterIdentity> {
    const instance = emptyGuid()
    const metadata = await objectFrom(this.#self, BACKUP.GetWriterMetadata, index, instance)
    try {
      const [id, writer] = [emptyGuid(), emptyGuid()]
      const name: (Address | null)[] = [null]
      await invoke(metadata, METADATA.GetIdentity, id, writer, name, [0], [0])
      const identity = {
        instanceId: formatGuid(instance),
        writerId: formatGuid(writer),
        name: this.#vss.takeText(name[0] ?? null),
      }
      await this.#takeParts(await addressFrom(metadata, METADATA.SaveAsXML), take)
      return identity
    } finally {
      await release(metadata)
    }
  }

  freeWriterMetadata(): Promise<void> {
    return invoke(this.#self, BACKUP.FreeWriterMetadata)
  }

  addComponent(it: ComponentKeys): Promise<void> {
    return invoke(this.#self, BACKUP.AddComponent, ...keysOf(it))
  }

  setBackupSucceeded(it: ComponentKeys, succeeded: boolean): Promise<void> {
    return invoke(this.#self, BACKUP.SetBackupSucceeded, ...keysOf(it), succeeded ? 1 : 0)
  }

  async startSnapshotSet(): Promise<string> {
    const id = emptyGuid()
    await invoke(this.#self, BACKUP.StartSnapshotSet, id)
    return formatGuid(id)
  }

  async isVolumeSupported(volume: string): Promise<boolean> {
    const answer = [0]
    await invoke(this.#self, BACKUP.IsVolumeSupported, NO_GUID, volume, answer)
    return answer[0] !== 0
  }

  async addToSnapshotSet(volume: string): Promise<string> {
    const id = emptyGuid()
    await invoke(this.#self, BACKUP.AddToSnapshotSet, volume, NO_GUID, id)
    return formatGuid(id)
  }

  /** GetWriterStatus of each writer, behind the step GatherWriterStatus; FreeWriterStatus. */
  async writerStatuses(): Promise<readonly WriterStatus[]> {
    const count = await this.#count(BACKUP.GetWriterStatusCount)
    const statuses: WriterStatus[] = []
    for (let index = 0; index < count; index++) statuses.push(await this.#writerStatus(index))
    await invoke(this.#self, BACKUP.FreeWriterStatus)
    return statuses
  }

  async #writerStatus(index: number): Promise<WriterStatus> {
    const [instance, writer] = [emptyGuid(), emptyGuid()]
    const name: (Address | null)[] = [null]
    const [state, failure] = [[0], [0]]
    await invoke(
      this.#self, BACKUP.GetWriterStatus, index, instance, writer, name, state, failure)
    return {
      instanceId: formatGuid(instance), writerId: formatGuid(writer),
      name: this.#vss.takeText(name[0] ?? null),
      state: state[0] ?? 0, failure: (failure[0] ?? 0) >>> 0,
    }
  }

  async snapshotProperties(snapshotId: string): Promise<SnapshotProperties> {
    const record = {} as SnapshotRecord // filled by the call
    await invoke(this.#self, BACKUP.GetSnapshotProperties, guidFields(snapshotId), record)
    const { device, volume } = this.#vss.takeSnapshot(record)
    return {
      snapshotId: formatGuid(record.snapshotId), snapshotSetId: formatGuid(record.setId),
      device, originalVolume: volume, attributes: record.attributes,
      createdMs: Number(BigInt(record.created) / FILETIME_TICKS_A_MS - UNIX_EPOCH_MS),
    }
  }

  async componentsDocument(take: TakePart): Promise<void> {
    await this.#takeParts(await addressFrom(this.#self, BACKUP.SaveAsXML), take)
  }

  async #takeParts(bstr: Address | null, take: TakePart): Promise<void> {
    for (const part of this.#vss.takeParts(bstr, PART_UNITS)) await take(part)
  }

  abortBackup(): Promise<void> {
    return invoke(this.#self, BACKUP.AbortBackup)
  }

  /** Release: the end of the conversation, and of its auto-release snapshots. */
  release(): Promise<void> {
    return release(this.#self)
  }

  async #count(method: Method): Promise<number> {
    const out = [0]
    await invoke(this.#self, method, out)
    const count = (out[0] ?? 0) >>> 0
    if (count <= MAX_WRITERS) return count
    throw new Fault('platform-protocol', `${method.name} counts ${count} writers`)
  }
}

const NEVER = new AbortController().signal

function keysOf(it: ComponentKeys): readonly unknown[] {
  return [guidFields(it.instanceId), guidFields(it.writerId), it.type, it.logicalPath, it.name]
}

/** QueryStatus: an HRESULT. */
async function statusOf(task: Address): Promise<number> {
  const out = [0]
  await invoke(task, ASYNC.QueryStatus, out, null)
  return (out[0] ?? 0) >>> 0
}
