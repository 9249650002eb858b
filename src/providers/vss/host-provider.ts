/**
 * The volumes of the Windows host that this runs on, held by VSS: one shadow copy set with writers,
 * each volume a disk. What it needs of the host comes through `HostPorts`.
 */

import { throwIfAborted, type Clock } from '../../base/clock.ts'
import { causesOf, Fault, isFault } from '../../base/fault.ts'
import type { Log } from '../../base/log.ts'
import { formatBytes, printable } from '../../base/text.ts'
import type {
  DiskLeftOut, PlatformHeldSet, PrepareRequest, Provider, ProviderSurvey, QuiescedSet,
  QuiesceWish, SetDisk, SurveyRemark, ToldApplication,
} from '../../consistency/mod.ts'
import type { ListedWriter } from '../../catalog/mod.ts'
import type { BlockSource } from '../../disk/mod.ts'
import { askWriters, expectedOf, listWriters, remarksOn, type WishedSet } from './list-writers.ts'
import { isVssFault, VSS_E, describeHresult } from './session/hresult.ts'
import { volumesOfHost } from './session/paths.ts'
import { VssSession, type CompletedWriter } from './session/session.ts'
import { CONTEXT, type VssBackupType, type VssTransport } from './session/transport.ts'
import { pointDocuments, stateSession } from './stated-writers.ts'
import { PAGE_FILES, UnreadParts } from './unread.ts'

export interface HostVolume {
  /** `\\?\Volume{…}\` */
  readonly name: string
  /** `C:\`, `C:\data\`; empty for one that is not mounted. */
  readonly mounts: readonly string[]
  readonly sizeBytes: number
  /** `NTFS`, `ReFS`, `FAT32` …, as Windows names it; empty for none. */
  readonly fileSystem: string
}

export interface HostPorts {
  readonly transport: VssTransport
  /** Why the transport is not the best one there is. */
  readonly because?: string | undefined
  /** Fixed volumes, now. Faults: `platform-*`. */
  volumes(signal: AbortSignal): Promise<readonly HostVolume[]>
  /** Variables that writers' paths may name. */
  readonly environment: ReadonlyMap<string, string>
  openDevice(device: string, sizeBytes: number, signal: AbortSignal): Promise<BlockSource>
  readonly clock: Clock
  readonly log: Log
}

export interface HostProviderOptions {
  readonly backupType: VssBackupType
  /** Files whose contents become zeros, as `UnreadParts` takes them; default: `PAGE_FILES`. */
  readonly leaveOut?: readonly string[]
}

/** Windows makes shadow copies of these; FAT and its kin it cannot copy at an instant. */
const COPIED: ReadonlySet<string> = new Set(['ntfs', 'refs'])

export class HostProvider implements Provider {
  readonly name = 'vss'
  readonly #ports: HostPorts
  readonly #options: HostProviderOptions

  constructor(ports: HostPorts, options: HostProviderOptions) {
    this.#ports = ports
    this.#options = options
  }

  async survey(exclude: readonly string[], signal: AbortSignal): Promise<ProviderSurvey> {
    const volumes = await this.#ports.volumes(signal)
    const { disks, leftOut } = chosen(volumes, exclude)
    const { because, transport } = this.#ports
    const answers = await askWriters(this.#ports, signal)
    const expected = await expectedOf(
      answers, wishedSet(disks, volumes, this.#ports, this.#options, CONTEXT.BACKUP), this.#ports,
      (volume) => idOfDisk(disks, volume), signal)
    return {
      power: 'running', disks: disks.map(plain), leftOut,
      freezing: { by: 'platform', level: expected.claimed, expected },
      remarks: [
        { name: 'VSS', says: because === undefined ? `asked through ${transport.name}`
          : `asked through ${transport.name}, because ${because}` },
        ...disks.map(remarkOn),
        ...remarksOn(listWriters(answers))],
    }
  }

  /** Volumes that can be held, without a word to VSS. Faults: `platform-*`. */
  async disks(signal: AbortSignal): Promise<readonly SetDisk[]> {
    return chosen(await this.#ports.volumes(signal), []).disks.map(plain)
  }

  /** Faults: `platform-*`, `timed-out`. */
  async writers(signal: AbortSignal): Promise<readonly ListedWriter[]> {
    return listWriters(await askWriters(this.#ports, signal))
  }

  async prepare({ exclude }: PrepareRequest, signal: AbortSignal): Promise<PlatformHeldSet> {
    throwIfAborted(signal)
    const volumes = await this.#ports.volumes(signal)
    return new HostSet(chosen(volumes, exclude), volumes, this.#ports, this.#options)
  }
}

interface HostDisk extends SetDisk {
  readonly volume: string
  readonly mounts: readonly string[]
  readonly fileSystem: string
}

interface Chosen {
  readonly disks: readonly HostDisk[]
  readonly leftOut: readonly DiskLeftOut[]
}

function plain({ id, sizeBytes }: HostDisk): SetDisk {
  return { id, sizeBytes }
}

/** `volume c`: `C:\, NTFS, 100.0 GiB`. */
function remarkOn({ id, mounts, fileSystem, sizeBytes }: HostDisk): SurveyRemark {
  const at = mounts.length === 0 ? 'mounted nowhere' : mounts.slice(0, 4).join(', ')
  return { name: `volume ${id}`,
    says: printable(`${at}, ${fileSystem}, ${formatBytes(sizeBytes)}`, 300) }
}

/** Fault: `nothing-to-back-up`. */
function chosen(volumes: readonly HostVolume[], exclude: readonly string[]): Chosen {
  const disks: HostDisk[] = []
  const leftOut: DiskLeftOut[] = []
  for (const volume of volumes) {
    const id = idOf(volume)
    if (exclude.includes(id)) {
      leftOut.push({ id, reason: 'excluded', detail: 'named by the operator' })
    } else if (!COPIED.has(volume.fileSystem.toLowerCase())) {
      leftOut.push({ id, reason: 'unsupported', detail:
        `VSS makes no copy of ${printable(volume.fileSystem, 40) || 'a volume without files'}` })
    } else {
      const { sizeBytes, name, mounts, fileSystem } = volume
      disks.push({ id, sizeBytes, volume: name, mounts, fileSystem })
    }
  }
  if (disks.length > 0) return { disks, leftOut }
  throw new Fault('nothing-to-back-up', 'no volume of this host can be copied by VSS')
}

/** `c` for `C:\`; of a volume without a letter, the first part of its GUID. */
function idOf({ name, mounts }: HostVolume): string {
  const [letter] = mounts.flatMap((mount) => /^([A-Za-z]):\\$/.exec(mount)?.[1] ?? [])
  if (letter !== undefined) return letter.toLowerCase()
  const [, guid] = /Volume\{([0-9a-f]{8}-[0-9a-f]{4})/i.exec(name) ?? []
  if (guid !== undefined) return `volume-${guid.toLowerCase()}`
  throw new Fault('platform-protocol', `a volume has the name ${printable(name, 100)}`)
}

function idOfDisk(disks: readonly HostDisk[], volume: string): string | undefined {
  return disks.find((disk) => disk.volume.toLowerCase() === volume.toLowerCase())?.id
}

function wishedSet(
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

class HostSet implements PlatformHeldSet {
  readonly heldBy = 'platform'
  readonly expected = 'application'
  readonly power = 'running'
  readonly disks: readonly SetDisk[]
  readonly leftOut: readonly DiskLeftOut[]
  readonly #disks: readonly HostDisk[]
  readonly #volumes: readonly HostVolume[]
  readonly #ports: HostPorts
  readonly #options: HostProviderOptions
  #session: VssSession | undefined

  constructor(
    { disks, leftOut }: Chosen, volumes: readonly HostVolume[], ports: HostPorts,
    options: HostProviderOptions,
  ) {
    this.disks = disks.map(plain)
    this.leftOut = leftOut
    this.#disks = disks
    this.#volumes = volumes
    this.#ports = ports
    this.#options = options
  }

  async commitQuiesced(wish: QuiesceWish, signal: AbortSignal): Promise<QuiescedSet> {
    const { session, failure } = await this.#make(wish, signal)
    this.#session = session
    const unread = new UnreadParts(this.#options.leaveOut ?? PAGE_FILES, this.#ports.log)
    const quiesce = stateSession(session, (volume) => idOfDisk(this.#disks, volume))
    return {
      method: 'vss-snapshot-set', oneInstant: true,
      // Asked when the point is sealed: what is not read of a disk is known when it is opened.
      get documents() {
        return [...pointDocuments(session), unread.document()].filter((it) => it !== undefined)
      },
      quiesce: failure === undefined ? quiesce : {
        ...quiesce, documents: [...quiesce.documents,
          { name: 'vss-fault', text: failure, shows: 'nothing' }] },
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
      ...wishedSet(this.#disks, this.#volumes, this.#ports, this.#options,
        withWriters ? CONTEXT.BACKUP : CONTEXT.FILE_SHARE_BACKUP),
      // All that is to be read is chosen already: what lies elsewhere is left out and says so.
      promised: new Set(),
    }, this.#ports, signal)
  }

  async #open(
    session: VssSession, unread: UnreadParts, diskId: string, signal: AbortSignal,
  ): Promise<BlockSource> {
    const disk = this.#disks.find(({ id }) => id === diskId)
    const snapshot = session.snapshots.find(({ originalVolume }) =>
      originalVolume.toLowerCase() === disk?.volume.toLowerCase())
    if (disk === undefined || snapshot === undefined) {
      throw new Fault('not-found', `there is no shadow copy of ${printable(diskId, 64)}`)
    }
    const source = await this.#ports.openDevice(snapshot.device, disk.sizeBytes, signal)
    return unread.without(diskId, disk.mounts, source, signal)
  }

  async recheck(signal: AbortSignal): Promise<readonly DiskLeftOut[]> {
    const now = await this.#ports.volumes(signal)
    const added = now.filter(({ name }) => !this.#volumes.some((it) => it.name === name))
    const removed = this.#disks.filter(({ volume }) => !now.some((it) => it.name === volume))
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

function toldOf({ name, isInOrder, seen }: CompletedWriter): ToldApplication {
  const detail = isInOrder ? '' : seen === null ? 'it was not listed behind BackupComplete'
    : `behind BackupComplete it was in state ${seen.state}, ${describeHresult(seen.failure)}`
  return { name, outcome: isInOrder ? 'told' : 'failed', detail }
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
