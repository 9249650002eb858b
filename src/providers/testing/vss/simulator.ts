/**
 * A VSS made of TypeScript: scripted writers, no volumes. It keeps writers' states and refuses
 * calls out of order as VSS does (Microsoft, "Overview of Processing a Backup Under VSS"); it shows
 * nothing of real writers.
 */

import { abortable, throwIfAborted } from '../../../base/clock.ts'
import { escapeXml } from '../../../base/xml.ts'
import { uuid, type RandomBytes } from '../../../base/random.ts'
import { E_INVALIDARG, VSS_E, VssFault } from '../../vss/session/hresult.ts'
import {
  ATTRIBUTE, BACKUP_TYPE, COMPONENT_TYPE, type BackupSetup, type ComponentReference,
  type FailedComponent, type GatheredWriter, type SavedDocuments, type SnapshotProperties,
  type VssBackup, type VssTransport, type WriterStatus,
} from '../../vss/session/transport.ts'
import { SimulatedWriter } from './simulated-writer.ts'
import type { VssEvent, VssScenario } from './scenario.ts'

export class SimulatedVss implements VssTransport {
  readonly name = 'simulator'
  readonly statusOf = 'this-session'
  /** What happened, as scenario.ts says. */
  readonly journal: string[] = []
  /** Called before each step with the method's name: for tests that break in there. */
  onStep: (step: string) => void = () => {}
  #scenario: VssScenario
  readonly #random: RandomBytes
  readonly #failed = new Map<string, number>()
  readonly #before: number
  #opened: number
  #open: SimulatedBackup | undefined

  /** `opened`: how many conversations there were before, for a stand-in of many processes. */
  constructor(scenario: VssScenario, random: RandomBytes, opened = 0) {
    this.#scenario = scenario
    this.#random = random
    this.#before = opened
    this.#opened = opened
  }

  /** Device names of snapshots that nobody has released. */
  get snapshotsLeft(): readonly string[] {
    return this.#open?.devices ?? []
  }

  /** From now on these steps fail. */
  fail(failures: VssScenario['failures'] & object): void {
    this.#scenario = { ...this.#scenario, failures }
  }

  async open(setup: BackupSetup, signal: AbortSignal): Promise<VssBackup> {
    throwIfAborted(signal)
    if (this.#open !== undefined) throw new VssFault('StartSnapshotSet', VSS_E.BAD_STATE)
    const writers = this.#scenario.writers.map((it) =>
      new SimulatedWriter(it, this.#opened, this.journal))
    this.#opened++
    this.#open = new SimulatedBackup({
      setup, writers, scenario: this.#scenario, journal: this.journal, random: this.#random,
      begin: (step) => this.#begin(step), release: () => { this.#open = undefined },
    })
    return Promise.resolve(this.#open)
  }

  #begin(step: string): void {
    this.onStep(step)
    for (const { step: of, hresult, times = Infinity } of this.#scenario.failures ?? []) {
      const failed = this.#failed.get(of) ?? this.#before
      if (of !== step || failed >= times) continue
      this.#failed.set(of, failed + 1)
      throw new VssFault(step, hresult)
    }
  }
}

interface Parts {
  readonly setup: BackupSetup
  readonly writers: readonly SimulatedWriter[]
  readonly scenario: VssScenario
  readonly journal: string[]
  readonly random: RandomBytes
  readonly begin: (step: string) => void
  readonly release: () => void
}

/** How far a conversation is; each step says from where it may be taken. */
type Phase =
  | 'open' | 'gathered' | 'set-started' | 'prepared' | 'snapshot' | 'completed' | 'aborted'
  | 'released'

class SimulatedBackup implements VssBackup {
  readonly #parts: Parts
  readonly #added: ComponentReference[] = []
  readonly #succeeded = new Map<string, boolean>()
  readonly #volumes = new Map<string, string>()
  #setId = ''
  #phase: Phase = 'open'

  constructor(parts: Parts) {
    this.#parts = parts
    const { context, backupType, bootableSystemState } = parts.setup
    parts.journal.push('Create', `SetContext 0x${context.toString(16).padStart(8, '0')}`,
      `SetBackupState components=1 bootable=${bootableSystemState ? 1 : 0} ` +
      `type=${BACKUP_TYPE[backupType]} partial=0`)
  }

  get devices(): readonly string[] {
    return this.#phase === 'snapshot' || this.#phase === 'completed'
      ? [...this.#volumes.values()].map(deviceOf) : []
  }

  gatherWriterMetadata(signal: AbortSignal): Promise<readonly GatheredWriter[]> {
    return this.#step('GatherWriterMetadata', ['open'], signal, () => {
      const { writers } = this.#parts
      for (const writer of writers) writer.hear('Identify')
      this.#phase = 'gathered'
      return writers.filter((writer) => writer.isThere).map(({ script }) => ({
        writerId: script.writerId, instanceId: script.instanceId, name: script.name,
        document: script.document }))
    })
  }

  addComponent(component: ComponentReference, signal: AbortSignal): Promise<void> {
    return this.#step('AddComponent', ['gathered', 'set-started'], signal, () => {
      const { writerId, instanceId, type } = component
      const writer = this.#parts.writers.find(({ script }) =>
        script.writerId === writerId && script.instanceId === instanceId)
      if (writer === undefined || !writer.isThere) {
        throw new VssFault('AddComponent', VSS_E.OBJECT_NOT_FOUND)
      }
      if (this.#added.some((it) => keyOf(it) === keyOf(component))) {
        throw new VssFault('AddComponent', VSS_E.OBJECT_ALREADY_EXISTS)
      }
      this.#added.push(component)
      this.#parts.journal.push(
        `AddComponent ${writerId} ${COMPONENT_TYPE[type]} ${pathOf(component)}`)
    })
  }

  startSnapshotSet(signal: AbortSignal): Promise<string> {
    return this.#step('StartSnapshotSet', ['gathered'], signal, () => {
      this.#phase = 'set-started'
      this.#parts.journal.push('StartSnapshotSet')
      this.#setId = uuid(this.#parts.random)
      return this.#setId
    })
  }

  isVolumeSupported(volume: string, signal: AbortSignal): Promise<boolean> {
    return this.#step('IsVolumeSupported', ['gathered', 'set-started'], signal, () => {
      this.#checkVolume('IsVolumeSupported', volume)
      return true
    })
  }

  addToSnapshotSet(volume: string, signal: AbortSignal): Promise<string> {
    return this.#step('AddToSnapshotSet', ['set-started'], signal, () => {
      this.#checkVolume('AddToSnapshotSet', volume)
      if ([...this.#volumes.values()].includes(volume)) {
        throw new VssFault('AddToSnapshotSet', VSS_E.OBJECT_ALREADY_EXISTS)
      }
      const id = uuid(this.#parts.random)
      this.#volumes.set(id, volume)
      this.#parts.journal.push(`AddToSnapshotSet ${volume}`)
      return id
    })
  }

  prepareForBackup(signal: AbortSignal): Promise<void> {
    return this.#step('PrepareForBackup', ['set-started'], signal, () => {
      this.#phase = 'prepared'
      for (const writer of this.#parts.writers) writer.hear('PrepareForBackup')
    })
  }

  gatherWriterStatus(signal: AbortSignal): Promise<readonly WriterStatus[]> {
    const phases: readonly Phase[] = [
      'gathered', 'set-started', 'prepared', 'snapshot', 'completed', 'aborted']
    return this.#step('GatherWriterStatus', phases, signal, () =>
      this.#parts.writers.filter(({ isThere }) => isThere).map(({ status }) => status))
  }

  failedComponents(
    instanceId: string, signal: AbortSignal): Promise<readonly FailedComponent[]> {
    const phases: readonly Phase[] = ['prepared', 'snapshot', 'completed', 'aborted']
    return this.#step('GetWriterComponents', phases, signal, () => {
      const writer = this.#parts.writers.find(({ script }) => script.instanceId === instanceId)
      return writer?.failedComponents.filter(({ component }) => this.#added.some((it) =>
        it.instanceId === instanceId && pathOf(it) === pathOf(component))) ?? []
    })
  }

  doSnapshotSet(signal: AbortSignal): Promise<void> {
    return this.#step('DoSnapshotSet', ['prepared'], signal, () => {
      if (this.#volumes.size === 0) throw new VssFault('DoSnapshotSet', VSS_E.BAD_STATE)
      this.#tell('PrepareForSnapshot')
      for (const event of ['Freeze', 'Thaw'] as const) {
        if (this.#tell(event)) continue
        this.#abort()
        throw new VssFault('DoSnapshotSet', VSS_E.UNEXPECTED_WRITER_ERROR)
      }
      this.#tell('PostSnapshot')
      this.#phase = 'snapshot'
    })
  }

  snapshotProperties(snapshotId: string, signal: AbortSignal): Promise<SnapshotProperties> {
    return this.#step('GetSnapshotProperties', ['snapshot', 'completed'], signal, () => {
      const volume = this.#volumes.get(snapshotId)
      if (volume === undefined) {
        throw new VssFault('GetSnapshotProperties', VSS_E.OBJECT_NOT_FOUND)
      }
      const { context } = this.#parts.setup
      return {
        snapshotId, snapshotSetId: this.#setId, device: deviceOf(volume), originalVolume: volume,
        attributes: context | (context & ATTRIBUTE.NO_WRITERS ? 0 : ATTRIBUTE.AUTORECOVER),
        createdMs: 1_700_000_000_000,
      }
    })
  }

  setBackupSucceeded(
    component: ComponentReference, succeeded: boolean, signal: AbortSignal): Promise<void> {
    return this.#step('SetBackupSucceeded', ['snapshot'], signal, () => {
      if (!this.#added.some((it) => keyOf(it) === keyOf(component))) {
        throw new VssFault('SetBackupSucceeded', VSS_E.OBJECT_NOT_FOUND)
      }
      this.#succeeded.set(keyOf(component), succeeded)
      this.#parts.journal.push(
        `SetBackupSucceeded ${component.writerId} ${pathOf(component)} ${succeeded ? 1 : 0}`)
    })
  }

  backupComplete(signal: AbortSignal): Promise<void> {
    return this.#step('BackupComplete', ['snapshot'], signal, () => {
      this.#phase = 'completed'
      this.#tell('BackupComplete')
    })
  }

  async abortBackup(signal: AbortSignal): Promise<void> {
    throwIfAborted(signal)
    if (this.#phase === 'completed' || this.#phase === 'released') {
      throw new VssFault('AbortBackup', VSS_E.BAD_STATE)
    }
    this.#parts.journal.push('AbortBackup')
    this.#abort()
    return Promise.resolve()
  }

  saveDocuments(signal: AbortSignal): Promise<SavedDocuments> {
    return this.#step('SaveAsXML', ['snapshot', 'completed'], signal, () => ({
      backupComponents: this.#components(),
      writerMetadata: this.#parts.writers.filter(({ isThere }) => isThere)
        .map(({ script: { instanceId, document } }) => ({ instanceId, document })),
    }))
  }

  [Symbol.asyncDispose](): Promise<void> {
    if (this.#phase !== 'released') {
      this.#phase = 'released'
      this.#parts.journal.push('Release')
      for (const writer of this.#parts.writers) writer.hear('BackupShutdown')
      this.#parts.release()
    }
    return Promise.resolve()
  }

  async #step<T>(
    step: string, from: readonly Phase[], signal: AbortSignal, act: () => T): Promise<T> {
    throwIfAborted(signal)
    if (!from.includes(this.#phase)) throw new VssFault(step, VSS_E.BAD_STATE)
    this.#parts.begin(step)
    if (this.#parts.scenario.hangs?.includes(step) === true) {
      await abortable(new Promise<never>(() => {}), signal)
    }
    throwIfAborted(signal)
    return act()
  }

  /** To those with a component in the backup; false if one made VSS give up. */
  #tell(event: VssEvent): boolean {
    const taking = this.#parts.writers.filter(({ script }) =>
      this.#added.some(({ instanceId }) => instanceId === script.instanceId))
    return taking.map((writer) => writer.hear(event)).every((went) => went)
  }

  #abort(): void {
    if (this.#phase === 'prepared' || this.#phase === 'snapshot') this.#tell('Abort')
    this.#phase = 'aborted'
  }

  #checkVolume(step: string, volume: string): void {
    if (!volume.endsWith('\\')) throw new VssFault(step, E_INVALIDARG)
    if (!this.#parts.scenario.volumes.includes(volume)) {
      throw new VssFault(step, VSS_E.OBJECT_NOT_FOUND)
    }
  }

  #components(): string {
    const writers = Map.groupBy(this.#added, ({ instanceId }) => instanceId)
    const { setup } = this.#parts
    return '<BACKUP_COMPONENTS xmlns="x-schema:#VssComponentMetadata" version="1.2" ' +
      `selectComponents="yes" backupType="${setup.backupType}">` +
      [...writers].map(([instanceId, components]) =>
        `<WRITER_COMPONENTS instanceId="${instanceId}" writerId="${components[0]?.writerId}">` +
        components.map((component) => this.#component(component)).join('') +
        '</WRITER_COMPONENTS>').join('') + '</BACKUP_COMPONENTS>'
  }

  #component(component: ComponentReference): string {
    const { type, logicalPath, name } = component
    const succeeded = this.#succeeded.get(keyOf(component))
    return `<COMPONENT componentType="${type}" ` +
      (logicalPath === null ? '' : `logicalPath="${escapeXml(logicalPath)}" `) +
      `componentName="${escapeXml(name)}"` +
      (succeeded === undefined ? '' : ` backupSucceeded="${succeeded ? 'yes' : 'no'}"`) + '/>'
  }
}

function keyOf({ instanceId, logicalPath, name }: ComponentReference): string {
  return `${instanceId} ${logicalPath ?? ''}|${name}`
}

function pathOf(
  { logicalPath, name }: Pick<ComponentReference, 'logicalPath' | 'name'>): string {
  return `${logicalPath ?? '-'}|${name}`
}

function deviceOf(volume: string): string {
  return '\\\\?\\GLOBALROOT\\Device\\HarddiskVolumeShadowCopy' +
    `${parseInt(volume.replace(/[^0-9a-f]/g, '').slice(-2), 16) || 1}`
}
