/**
 * VSS through vssapi.dll itself, in a process of its own for each backup: client and server
 * editions of Windows, with writers, documents and the status of the very session.
 */

import { deadline, type Clock } from '../../../base/clock.ts'
import { Fault } from '../../../base/fault.ts'
import type { LongestTurn } from '../../../base/turns.ts'
import {
  BACKUP_TYPE, COMPONENT_TYPE, type BackupSetup, type ComponentReference, type FailedComponent,
  type GatheredWriter,
  type SavedDocuments, type SnapshotProperties, type VssBackup, type VssTransport,
  type WriterStatus,
} from '../session/transport.ts'
import { MAX_TEXT_UNITS, type Value } from './protocol.ts'
import { RequestorProcess, startRequestor, type StartRequestor } from './requestor-process.ts'

export interface KoffiTransportOptions {
  readonly clock: Clock
  /** Where it runs; by default this process's own. */
  readonly platform?: string
  readonly arch?: string
  readonly start?: StartRequestor
  /** Told behind each release: the longest turn of the requestor's event loop. */
  readonly onReleased?: (longestTurn: LongestTurn | undefined) => void
}

/** VSS refuses a process of 32 bits on Windows of 64, and Node has no 32 bits any more. */
const ARCHITECTURES = ['x64', 'arm64']
/** For Abort; the session's own limit is longer. */
const ABORT_MS = 30_000
/** Components of one writer; each takes some ten calls. */
const MAX_ASKED = 1000
/** Of all writers' documents together. */
const MAX_TOTAL_UNITS = 4 * MAX_TEXT_UNITS

export class KoffiTransport implements VssTransport {
  readonly name = 'koffi'
  readonly statusOf = 'this-session'
  readonly #options: KoffiTransportOptions

  constructor(options: KoffiTransportOptions) {
    this.#options = options
  }

  /** Faults besides those of every step: `unsupported` where there can be no VSS. */
  async open(setup: BackupSetup, signal: AbortSignal): Promise<VssBackup> {
    const { clock, start = startRequestor, onReleased } = this.#options
    checkHost(this.#options)
    signal.throwIfAborted()
    const requestor = new RequestorProcess(clock, start)
    const backup = new KoffiBackup(requestor, clock, onReleased)
    try {
      await requestor.ask({
        step: 'open', context: setup.context, backupType: BACKUP_TYPE[setup.backupType],
        isBootable: setup.bootableSystemState,
      }, signal)
      return backup
    } catch (error) {
      await backup[Symbol.asyncDispose]()
      throw error
    }
  }
}

function checkHost(
  { platform = process.platform, arch = process.arch }: KoffiTransportOptions): void {
  if (platform !== 'win32') {
    throw new Fault('unsupported', `VSS is a part of Windows; this host runs ${platform}`)
  }
  if (!ARCHITECTURES.includes(arch)) {
    throw new Fault('unsupported', `VSS needs a process of 64 bits; this one is ${arch}`, {
      advice: 'Use Node for Windows x64.' })
  }
}

class KoffiBackup implements VssBackup {
  readonly #requestor: RequestorProcess
  readonly #clock: Clock
  readonly #onReleased: KoffiTransportOptions['onReleased']
  /** Writers may not change them once they were gathered. */
  #documents: SavedDocuments['writerMetadata'] = []
  #isReleased = false

  constructor(
    requestor: RequestorProcess, clock: Clock, onReleased: KoffiTransportOptions['onReleased']) {
    this.#requestor = requestor
    this.#clock = clock
    this.#onReleased = onReleased
  }

  async gatherWriterMetadata(signal: AbortSignal): Promise<readonly GatheredWriter[]> {
    const { value: { count } } = await this.#requestor.ask({ step: 'gatherWriterMetadata' }, signal)
    const writers: (GatheredWriter & { readonly document: string })[] = []
    let units = 0
    for (let index = 0; index < count; index++) {
      const { value, text } = await this.#requestor.ask({ step: 'writerDocument', index }, signal)
      units += text.length
      if (units > MAX_TOTAL_UNITS) {
        throw new Fault('platform-protocol', `the documents of ${index + 1} writers are too long`)
      }
      writers.push({ ...value, document: text })
    }
    await this.#requestor.ask({ step: 'freeWriterMetadata' }, signal)
    this.#documents = writers.map(({ instanceId, document }) => ({ instanceId, document }))
    return writers
  }

  async addComponent(component: ComponentReference, signal: AbortSignal): Promise<void> {
    await this.#requestor.ask({ step: 'addComponent', component: keysOf(component) }, signal)
  }

  async startSnapshotSet(signal: AbortSignal): Promise<string> {
    return (await this.#requestor.ask({ step: 'startSnapshotSet' }, signal)).value
  }

  async isVolumeSupported(volume: string, signal: AbortSignal): Promise<boolean> {
    return (await this.#requestor.ask({ step: 'isVolumeSupported', volume }, signal)).value
  }

  async addToSnapshotSet(volume: string, signal: AbortSignal): Promise<string> {
    return (await this.#requestor.ask({ step: 'addToSnapshotSet', volume }, signal)).value
  }

  async prepareForBackup(signal: AbortSignal): Promise<void> {
    await this.#requestor.ask({ step: 'prepareForBackup' }, signal)
  }

  async gatherWriterStatus(signal: AbortSignal): Promise<readonly WriterStatus[]> {
    return (await this.#requestor.ask({ step: 'gatherWriterStatus' }, signal)).value
  }

  async failedComponents(
    instanceId: string, signal: AbortSignal): Promise<readonly FailedComponent[]> {
    const { value: writers } = await this.#requestor.ask({ step: 'addedWriters' }, signal)
    const writer = writers.findIndex((it) => it.instanceId === instanceId)
    const count = Math.min(writers[writer]?.count ?? 0, MAX_ASKED)
    const failed: FailedComponent[] = []
    for (let index = 0; index < count; index++) {
      const { value } = await this.#requestor.ask(
        { step: 'failedComponent', writer, index }, signal)
      if (value !== null) failed.push(failedComponent(value))
    }
    return failed
  }

  async doSnapshotSet(signal: AbortSignal): Promise<void> {
    await this.#requestor.ask({ step: 'doSnapshotSet' }, signal)
  }

  async snapshotProperties(snapshotId: string, signal: AbortSignal): Promise<SnapshotProperties> {
    return (await this.#requestor.ask({ step: 'snapshotProperties', snapshotId }, signal)).value
  }

  async setBackupSucceeded(
    component: ComponentReference, succeeded: boolean, signal: AbortSignal): Promise<void> {
    await this.#requestor.ask(
      { step: 'setBackupSucceeded', component: keysOf(component), succeeded }, signal)
  }

  async backupComplete(signal: AbortSignal): Promise<void> {
    await this.#requestor.ask({ step: 'backupComplete' }, signal)
  }

  /** One that VSS does not take within its limit becomes the end of the process. */
  async abortBackup(signal: AbortSignal): Promise<void> {
    using limit = deadline(this.#clock, ABORT_MS, 'AbortBackup', signal)
    try {
      await this.#requestor.ask({ step: 'abortBackup' }, limit.signal)
    } catch (error) {
      if (limit.signal.aborted) this.#requestor.kill()
      throw error
    }
  }

  async saveDocuments(signal: AbortSignal): Promise<SavedDocuments> {
    const { text } = await this.#requestor.ask({ step: 'componentsDocument' }, signal)
    return { backupComponents: text, writerMetadata: this.#documents }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isReleased) return
    this.#isReleased = true
    const longestTurn = await this.#requestor.release()
    this.#onReleased?.(longestTurn)
  }
}

function failedComponent(
  { type, logicalPath, name, ...said }: Value<'failedComponent'> & object): FailedComponent {
  return { ...said, component: {
    type: type === COMPONENT_TYPE.database ? 'database' : 'filegroup', logicalPath, name } }
}

function keysOf({ type, ...component }: ComponentReference): {
  readonly instanceId: string; readonly writerId: string; readonly type: number
  readonly logicalPath: string | null; readonly name: string
} {
  return { ...component, type: COMPONENT_TYPE[type] }
}
