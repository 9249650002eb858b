/** One shadow copy set of a host, from its making to its end. */

import { throwIfAborted } from '../../base/clock.ts'
import { causesOf, Fault, isFault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import type {
  DiskLeftOut, FoundData, PlatformHeldSet, PlatformQuiesce, QuiescedSet, QuiesceWish, SetDisk,
  ToldApplication,
} from '../../consistency/mod.ts'
import type { BlockSource } from '../../disk/mod.ts'
import {
  idOf, idOfDisk, plain, type Chosen, type HostDisk, type HostVolume,
} from './host-disks.ts'
import type { HostPorts, HostProviderOptions } from './host-ports.ts'
import type { LeaveOutPatterns } from './leave-out.ts'
import { askWriters, expectedOf, type WishedSet, type WriterAnswers } from './list-writers.ts'
import { failedInWords } from './session/failed-components.ts'
import { isVssFault, VSS_E, describeHresult } from './session/hresult.ts'
import { volumesOfHost } from './session/paths.ts'
import { VssSession, type CompletedWriter } from './session/session.ts'
import { CONTEXT } from './session/transport.ts'
import { pointDocuments, stateSession } from './stated-writers.ts'
import { unheldOf } from './unheld.ts'
import { UnreadParts } from './unread.ts'

/** What is asked of VSS for these volumes. */
export function wishedSet(
  disks: readonly HostDisk[], volumes: readonly HostVolume[], { environment }: HostPorts,
  { backupType }: HostProviderOptions, context: number,
): WishedSet {
  const mounts = new Map(volumes.flatMap(({ name, mounts }) =>
    mounts.map((mount) => [mount, name] as const)))
  return {
    setup: { context, backupType, bootableSystemState: false },
    volumes: disks.map(({ volume }) => volume),
    volumeOf: volumesOfHost({ mounts, environment }),
  }
}

/** A host before its set is made. */
export interface HostNow {
  readonly disks: readonly HostDisk[]
  readonly volumes: readonly HostVolume[]
  readonly found: readonly FoundData[]
  readonly leaveOut: LeaveOutPatterns
}

/** What the set would state if each writer did well. */
export async function foretellSet(
  answers: WriterAnswers, { disks, volumes, found }: Omit<HostNow, 'leaveOut'>, ports: HostPorts,
  options: HostProviderOptions, signal: AbortSignal,
): Promise<PlatformQuiesce> {
  const { environment } = ports
  const wished = wishedSet(disks, volumes, ports, options, CONTEXT.BACKUP)
  const diskOf = (volume: string): string | undefined => idOfDisk(disks, volume)
  const { quiesce, writers } = await expectedOf(answers, wished, ports, diskOf, signal)
  const { volumeOf } = wished
  return { ...quiesce, unheld: unheldOf(found, { writers, environment, volumeOf, diskOf }) }
}

export class HostSet implements PlatformHeldSet {
  readonly heldBy = 'platform'
  readonly expected = 'application'
  readonly power = 'running'
  readonly disks: readonly SetDisk[]
  readonly leftOut: readonly DiskLeftOut[]
  readonly #now: HostNow
  readonly #ports: HostPorts
  readonly #options: HostProviderOptions
  #session: VssSession | undefined

  constructor(
    now: HostNow & Chosen, ports: HostPorts, options: HostProviderOptions,
  ) {
    this.disks = now.disks.map(plain)
    this.leftOut = now.leftOut
    this.#now = now
    this.#ports = ports
    this.#options = options
  }

  async foretell(signal: AbortSignal): Promise<PlatformQuiesce> {
    return foretellSet(
      await askWriters(this.#ports, signal), this.#now, this.#ports, this.#options, signal)
  }

  async commitQuiesced(wish: QuiesceWish, signal: AbortSignal): Promise<QuiescedSet> {
    const { session, failure } = await this.#make(wish, signal)
    this.#session = session
    const unread = new UnreadParts(this.#now.leaveOut, session.writers, this.#ports)
    const diskOf = (volume: string): string | undefined => idOfDisk(this.#now.disks, volume)
    const quiesce = {
      ...stateSession(session, diskOf),
      unheld: unheldOf(this.#now.found, {
        writers: session.writers, environment: this.#ports.environment, diskOf,
        volumeOf: session.request.volumeOf }) }
    return {
      method: 'vss-snapshot-set', oneInstant: true,
      // Asked when the point is sealed: what is not read of a disk is known when it is opened.
      get documents() {
        return [...pointDocuments(session), unread.document()].filter((it) => it !== undefined)
      },
      quiesce: failure === undefined ? quiesce : {
        ...quiesce, documents: [...quiesce.documents,
          { name: 'vss-fault', text: failure, shows: 'nothing' }] },
      filesAsZeros: (diskId) => unread.filesAsZeros(diskId),
      open: (diskId, running) => this.#open(session, unread, diskId, running),
      stillIntact: (running) => session.stillThere(running),
    }
  }

  /** With writers, or where that fails and it is wished, without: the documents say so. */
  async #make(wish: QuiesceWish, signal: AbortSignal): Promise<{
    readonly session: VssSession; readonly failure?: string }> {
    if (wish === 'never') return { session: await this.#attempt(false, signal) }
    try {
      return { session: await this.#attempt(true, signal) }
    } catch (error) {
      throwIfAborted(signal)
      if (!isFault(error)) throw error
      if (wish === 'or-fail' || !isOfWriters(error)) throw error
      const failure = printable(causesOf(error).join(': '), 2000)
      this.#ports.log.warn('vss.without-writers', { reason: failure })
      return { session: await this.#attempt(false, signal), failure }
    }
  }

  #attempt(withWriters: boolean, signal: AbortSignal): Promise<VssSession> {
    return VssSession.make({
      ...wishedSet(this.#now.disks, this.#now.volumes, this.#ports, this.#options,
        withWriters ? CONTEXT.BACKUP : CONTEXT.FILE_SHARE_BACKUP),
      // All that is to be read is chosen already: what lies elsewhere is left out and says so.
      promised: new Set(),
    }, this.#ports, signal)
  }

  async #open(
    session: VssSession, unread: UnreadParts, diskId: string, signal: AbortSignal,
  ): Promise<BlockSource> {
    const disk = this.#now.disks.find(({ id }) => id === diskId)
    const snapshot = session.snapshots.find(({ originalVolume }) =>
      originalVolume.toLowerCase() === disk?.volume.toLowerCase())
    if (disk === undefined || snapshot === undefined) {
      throw new Fault('not-found', `there is no shadow copy of ${printable(diskId, 64)}`)
    }
    const source = await this.#ports.openDevice(snapshot.device, disk.sizeBytes, signal)
    return unread.without(diskId, [...disk.mounts, disk.volume], source, signal)
  }

  async recheck(signal: AbortSignal): Promise<readonly DiskLeftOut[]> {
    const now = await this.#ports.volumes(signal)
    const added = now.filter(({ name }) => !this.#now.volumes.some((it) => it.name === name))
    const removed = this.#now.disks.filter(({ volume }) => !now.some((it) => it.name === volume))
    return [
      ...added.map((volume): DiskLeftOut =>
        ({ id: idOf(volume), reason: 'hot-added', detail: printable(volume.name, 100) })),
      ...removed.map(({ id, volume }): DiskLeftOut =>
        ({ id, reason: 'hot-removed', detail: printable(volume, 100) })),
    ]
  }

  powerNow(): Promise<'running'> {
    return Promise.resolve('running')
  }

  async complete(signal: AbortSignal): Promise<readonly ToldApplication[]> {
    const writers = await this.#session?.complete(signal) ?? []
    return writers.map(toldOf)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#session?.[Symbol.asyncDispose]()
  }
}

/** Of a completion record. */
const MAX_DETAIL = 1000

function toldOf(
  { name, isInOrder, seen, failedComponents }: CompletedWriter): ToldApplication {
  const detail = isInOrder ? '' : seen === null ? 'it was not listed behind BackupComplete'
    : `behind BackupComplete it was in state ${seen.state}, ${describeHresult(seen.failure)}${
      failedInWords(failedComponents)}`
  return { name, outcome: isInOrder ? 'told' : 'failed', detail: detail.slice(0, MAX_DETAIL) }
}

/** Failures that a set without writers would not have. */
const OF_WRITERS: readonly number[] = [
  VSS_E.UNEXPECTED_WRITER_ERROR, VSS_E.WRITER_INFRASTRUCTURE, VSS_E.WRITER_NOT_RESPONDING,
  VSS_E.WRITER_STATUS_NOT_AVAILABLE, VSS_E.WRITERERROR_PARTIAL_FAILURE,
  VSS_E.WRITERERROR_INCONSISTENTSNAPSHOT, VSS_E.WRITERERROR_OUTOFRESOURCES,
  VSS_E.WRITERERROR_TIMEOUT, VSS_E.WRITERERROR_RETRYABLE, VSS_E.WRITERERROR_NONRETRYABLE,
  VSS_E.WRITERERROR_RECOVERY_FAILED,
]

function isOfWriters(error: unknown): boolean {
  return isVssFault(error, ...OF_WRITERS) ||
    (isFault(error) && isVssFault(error.cause, ...OF_WRITERS))
}
