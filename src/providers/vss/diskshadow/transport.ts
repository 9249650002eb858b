/**
 * VSS through diskshadow.exe, which Windows Server has: the fallback where its interface cannot be
 * called. Calls are collected into one script, which is run when the set is to be made and held by
 * its `exec` until the backup is done. Two things are weaker than in a session of our own, and are
 * said: writers' documents come behind the instant, so that components cannot be chosen, and whose
 * session `list writers status` reads is not documented (`statusOf`).
 */

import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { systemClock, throwIfAborted, type Clock } from '../../../base/clock.ts'
import { Fault } from '../../../base/fault.ts'
import { runProgram } from '../../../base/program.ts'
import { siblingModule } from '../../../base/worker.ts'
import { E_NOTIMPL, VSS_E, VssFault } from '../session/hresult.ts'
import {
  ATTRIBUTE, type BackupSetup, type GatheredWriter, type SavedDocuments, type SnapshotProperties,
  type VssBackup, type VssTransport, type WriterStatus,
} from '../session/transport.ts'
import { readDocuments } from './cabinet.ts'
import { HeldScript, type Command } from './held-script.ts'
import { decodeOutput, lastFailure, readCopies, readWriters, type ListedCopy } from './output.ts'
import { aliasOf, LIST_SCRIPT, snapshotScript } from './script.ts'

export interface DiskshadowOptions {
  readonly diskshadow: Command
  /** expand.exe, which opens the cabinet of documents. */
  readonly expand: Command
  /** Where a folder for one backup's files is made. */
  readonly folder: string
  readonly clock?: Clock
}

export class DiskshadowTransport implements VssTransport {
  readonly name = 'diskshadow'
  readonly statusOf = 'unsure'
  readonly #options: DiskshadowOptions

  constructor(options: DiskshadowOptions) {
    this.#options = options
  }

  async open(setup: BackupSetup, signal: AbortSignal): Promise<VssBackup> {
    throwIfAborted(signal)
    const folder = await mkdtemp(join(this.#options.folder, 'vss-'))
    return new DiskshadowBackup(setup, folder, this.#options)
  }
}

/** How long the text that belongs to a set may trail the word of the holder. */
const OUTPUT_MS = 10_000
const POLL_MS = 50

class DiskshadowBackup implements VssBackup {
  readonly #setup: BackupSetup
  readonly #folder: string
  readonly #options: DiskshadowOptions
  readonly #clock: Clock
  readonly #required: string[] = []
  readonly #volumes: string[] = []
  #gathered: readonly WriterStatus[] = []
  #script: HeldScript | undefined
  #copies: readonly ListedCopy[] = []
  #createdMs = 0

  constructor(setup: BackupSetup, folder: string, options: DiskshadowOptions) {
    this.#setup = setup
    this.#folder = folder
    this.#options = options
    this.#clock = options.clock ?? systemClock
  }

  async gatherWriterMetadata(signal: AbortSignal): Promise<readonly GatheredWriter[]> {
    const file = join(this.#folder, 'list.dsh')
    await writeFile(file, LIST_SCRIPT)
    const { program, args } = this.#options.diskshadow
    const { stdout } = await runProgram(program, [...args, '/s', file], {
      signal, maxOutputBytes: 4 * 1024 * 1024 })
    this.#gathered = readWriters(decodeOutput(stdout))
    return this.#gathered.map(({ writerId, instanceId, name }) =>
      ({ writerId, instanceId, name, document: undefined }))
  }

  addComponent(): Promise<void> {
    return Promise.reject(new VssFault('AddComponent', E_NOTIMPL))
  }

  requireWriter(writerId: string): Promise<void> {
    this.#required.push(writerId)
    return Promise.resolve()
  }

  startSnapshotSet(): Promise<string> {
    return Promise.resolve('')
  }

  /** Nobody can be asked before the set is made; it fails then. */
  isVolumeSupported(): Promise<boolean> {
    return Promise.resolve(true)
  }

  addToSnapshotSet(volume: string): Promise<string> {
    this.#volumes.push(volume)
    return Promise.resolve(aliasOf(this.#volumes.length - 1))
  }

  /** Part of `create`. */
  prepareForBackup(): Promise<void> {
    return Promise.resolve()
  }

  gatherWriterStatus(): Promise<readonly WriterStatus[]> {
    const listed = this.#script === undefined ? [] : readWriters(this.#script.output)
    return Promise.resolve(listed.length === 0 ? this.#gathered : listed)
  }

  async doSnapshotSet(signal: AbortSignal): Promise<void> {
    if (this.#script !== undefined) throw new VssFault('DoSnapshotSet', VSS_E.BAD_STATE)
    const scriptFile = await this.#writeScript()
    const script = await HeldScript.start(
      { command: this.#options.diskshadow, scriptFile, pipe: this.#pipe, clock: this.#clock },
      signal)
    this.#script = script
    if (!await script.untilHeld(signal)) {
      throw failureOf(script.output, await script.ended)
    }
    this.#createdMs = this.#clock.nowMs()
    const endMs = this.#clock.monotonicMs() + OUTPUT_MS
    for (;;) {
      this.#copies = readCopies(script.output)
      if (this.#copies.length === this.#volumes.length) return
      if (this.#clock.monotonicMs() > endMs) {
        throw new Fault('platform-protocol', 'diskshadow does not say which shadow copies it made')
      }
      await this.#clock.sleep(POLL_MS, signal)
    }
  }

  snapshotProperties(alias: string): Promise<SnapshotProperties> {
    const copy = this.#copies.find((it) => it.alias === alias)
    if (copy === undefined) {
      return Promise.reject(new VssFault('GetSnapshotProperties', VSS_E.OBJECT_NOT_FOUND))
    }
    const { snapshotId, snapshotSetId, device, originalVolume, isWithoutWriters } = copy
    return Promise.resolve({
      snapshotId, snapshotSetId, device, originalVolume, createdMs: this.#createdMs,
      attributes: this.#setup.context | (isWithoutWriters ? ATTRIBUTE.NO_WRITERS : 0),
    })
  }

  /** diskshadow itself says so at `end backup`. */
  setBackupSucceeded(): Promise<void> {
    return Promise.resolve()
  }

  /** `end backup` of a full one; a copy has nothing to be said, and ends. */
  async backupComplete(signal: AbortSignal): Promise<void> {
    if (this.#script === undefined) throw new VssFault('BackupComplete', VSS_E.BAD_STATE)
    await this.#script.finish(signal)
  }

  async abortBackup(signal: AbortSignal): Promise<void> {
    await this.#script?.break(signal)
  }

  saveDocuments(signal: AbortSignal): Promise<SavedDocuments> {
    return readDocuments(this.#cabinet, join(this.#folder, 'documents'), this.#options.expand,
      this.#clock, signal)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#script?.[Symbol.asyncDispose]()
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 3 }).catch(() => {})
  }

  get #cabinet(): string {
    return join(this.#folder, 'documents.cab')
  }

  readonly #pipeName = randomBytes(8).toString('hex')
  get #pipe(): string {
    return process.platform === 'win32' ? `\\\\.\\pipe\\stillpoint-${this.#pipeName}`
      : join(this.#folder, 'pipe')
  }

  /** The holder is a command file of one line that both cmd.exe and sh can run. */
  async #writeScript(): Promise<string> {
    const holder = join(this.#folder, 'hold.cmd')
    const module = siblingModule('./holder', import.meta)
    await writeFile(holder, `"${process.execPath}" "${module}" "${this.#pipe}"\n`)
    const scriptFile = join(this.#folder, 'snapshot.dsh')
    await writeFile(scriptFile, snapshotScript({
      setup: this.#setup, volumes: this.#volumes, required: this.#required,
      cabinet: this.#cabinet, holder }))
    return scriptFile
  }
}

function failureOf(output: string, code: number | null): Fault {
  const failure = lastFailure(output)
  if (failure !== undefined) return new VssFault('DoSnapshotSet', failure)
  return code === null
    ? new Fault('program-missing', 'diskshadow could not be started', {
      advice: 'It is part of Windows Server; other versions of Windows do not have it.' })
    : new Fault('snapshot-failed', `diskshadow made no set and ended with exit code ${code}`, {
      advice: 'See the Application log of this host for VSS and for the writers.' })
}
