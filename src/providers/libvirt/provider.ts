/** The libvirt provider: prepares a machine of libvirt for being captured by us. */

import { writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { throwIfAborted } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import { childAt, childrenOf } from '../../base/xml.ts'
import type {
  FileSystemFreezer, FreezerMissing, PowerState, PrepareRequest, PreparedSet, Provider,
  ProviderSurvey,
} from '../../consistency/mod.ts'
import { Guard } from '../guardian/guard.ts'
import { recordFileFor } from '../guardian/record.ts'
import { guardedFreezer, surveyAgent } from '../machine/ask-agent.ts'
import { chooseDisks, type DiscoveredDisks } from '../machine/choose-disks.ts'
import type { ProviderContext } from '../machine/context.ts'
import type { DiskAddress } from '../machine/disk-addresses.ts'
import { recoverHolds, releaseLeftHolds, type LeftHolds } from '../machine/left-holds.ts'
import { ensureRunDir } from '../machine/run-dir.ts'
import { checkScratchSpace, scratchSpaces } from '../machine/scratch-space.ts'
import { libvirtAgentAddress } from './agent-address.ts'
import { AtRestSet, isAtRest, restingDisks } from './at-rest.ts'
import { backupXml, checkNotBusy, checkpointXml } from './backup-job.ts'
import { discoverDisks, type LibvirtDisk } from './disks.ts'
import { findDomain, powerOf, readDomain, readIdleDomain, type Domain } from './domain.ts'
import { readFirmwareState } from './firmware-state.ts'
import { missingAgent } from './guest-agent.ts'
import { endLeftJob, removeLeftFiles, resumeStopped } from './leftovers.ts'
import { jobNames, type JobNames } from './names.ts'
import { isRemote, isSession, type LibvirtOptions } from './options.ts'
import { LibvirtPreparedSet, releaseMachine } from './prepared-set.ts'
import { remarksOn } from './remarks.ts'
import { socketFolder } from './socket-folder.ts'
import { countForeign, LibvirtTracking, restingTracking } from './tracking.ts'
import type { Virsh } from './virsh.ts'

/** Where libvirt keeps images unless told otherwise; QEMU may use what is made there. */
const IMAGES = '/var/lib/libvirt/images'

export interface LibvirtProviderParts {
  /** A name or UUID. */
  readonly machine: string
  readonly options: LibvirtOptions
  readonly runDir: string
  readonly virsh: Virsh
  readonly major: number
  readonly context: ProviderContext
}

export class LibvirtProvider implements Provider {
  readonly name = 'libvirt'
  readonly #parts: LibvirtProviderParts

  constructor(parts: LibvirtProviderParts) {
    this.#parts = parts
  }

  async prepare(request: PrepareRequest, signal: AbortSignal): Promise<PreparedSet> {
    const { options, runDir, virsh, major, context: { clock, log } } = this.#parts
    const { uri } = options
    if (isRemote(uri)) throw remote()
    await ensureRunDir(runDir)
    const uuid = await findDomain(virsh, this.#parts.machine, signal)
    const unreleased = await this.#releaseLeftHolds(uuid, signal)
    await this.#endLeftJob(uuid, endLeftJob, signal)
    const domain = await readIdleDomain(virsh, uuid, signal)
    const names = jobNames(request.pointId, uuid)
    const now = await this.#examine(domain, request.exclude)
    const { power, disks, leftOut, addresses } = now
    if (isAtRest(power)) {
      await this.#removeLeftFiles([], uuid)
      const resting = chooseDisks(await restingDisks(now, signal), request.exclude)
      const known = request.tracking === undefined ? undefined
        : await restingTracking({ virsh, uuid, log }, resting.disks, request.tracking, signal)
      return AtRestSet.prepare(
        { ...resting, virsh, uuid, major, names, runDir, power, tracking: known, clock }, signal)
    }
    await checkNotBusy(virsh, uuid, signal)
    const folder = await this.#socketFolder(domain)
    throwIfAborted(signal)

    const { sockets } = this.#leftHolds(uuid)
    const guard = new Guard({
      sockets, recordFile: recordFileFor(runDir, sockets, names.run), nodePrefix: names.prefix,
      clock, settings: {} })
    await using undo = new AsyncDisposableStack()
    let tracking: LibvirtTracking | undefined
    const xmlFiles: string[] = []
    undo.defer(() => releaseMachine({
      virsh, uuid, runDir, names, power, xmlFiles, tracking, guard, clock, log }))
    const freezer = await this.#freezer(
      domain, power, guard, addresses, unreleased, signal)
    const scratchFolders = disks.map((disk) => this.#scratchFolder(disk))
    const spaces = scratchSpaces(
      disks.map(({ sizeBytes }, index) => ({ folder: scratchFolders[index] ?? '/', sizeBytes })),
      options.leastScratchBytes)
    await this.#removeLeftFiles(scratchFolders, uuid)
    await checkScratchSpace(spaces)
    if (request.tracking !== undefined) {
      tracking = await LibvirtTracking.begin(
        { virsh, uuid, log }, disks, request.tracking, request.pointId, signal)
    }
    const socketPath = join(folder, names.socket)
    checkSocketPath(socketPath)
    const jobDisks = disks.map((disk, index) => ({
      disk, since: tracking?.sinceOf(disk.id),
      scratchFile: join(scratchFolders[index] ?? '/', names.scratch(disk.name)) }))
    const discovered = diskNames(domain)
    const others = discovered.filter((name) => !disks.some((disk) => disk.name === name))
    await this.#writeXml(names, xmlFiles, backupXml(socketPath, jobDisks, others),
      tracking?.newName === undefined ? undefined : checkpointXml(tracking.newName,
        tracking.tracked, discovered.filter((name) => !tracking?.tracked.includes(name))))
    undo.move() // the set releases from here on
    return new LibvirtPreparedSet({ virsh, uuid, runDir, major, guard, names, disks, leftOut, power,
      freezer, scratchFolders, scratchSpaces: spaces, socketPath, xmlFiles, tracking, clock, log })
  }

  async endLeftHolds(signal: AbortSignal): Promise<void> {
    const { runDir, virsh, machine, options: { uri } } = this.#parts
    if (isRemote(uri)) return
    await ensureRunDir(runDir)
    await this.#releaseLeftHolds(await findDomain(virsh, machine, signal), signal)
  }

  async recover(signal: AbortSignal): Promise<readonly string[]> {
    const { options, runDir, virsh, major, machine, context: { clock } } = this.#parts
    if (isRemote(options.uri)) throw remote()
    await ensureRunDir(runDir)
    const uuid = await findDomain(virsh, machine, signal)
    const place = { virsh, uuid, runDir, clock }
    const resumed = await resumeStopped(place, true, signal)
    const released = await recoverHolds(this.#leftHolds(uuid), signal)
    const ended = await endLeftJob(place, true, signal)
    const { disks } = discoverDisks(await readDomain(virsh, uuid, signal), major)
    const { removed, problems } = await removeLeftFiles(
      [runDir, ...disks.map((disk) => this.#scratchFolder(disk))], uuid)
    if (problems.length > 0) {
      throw new Fault('io-error', `not all could be removed: ${printable(problems.join('; '))}`)
    }
    return [...released, ...[...resumed, ...ended, ...removed].map((what) => `${what} was removed`)]
  }

  async survey(exclude: readonly string[], signal: AbortSignal): Promise<ProviderSurvey> {
    const { machine, options, virsh, context: { clock } } = this.#parts
    const { uri, acceptLogTruncation = false } = options
    const uuid = await findDomain(virsh, machine, signal)
    const domain = await readIdleDomain(virsh, uuid, signal)
    const now = await this.#examine(domain, exclude)
    const { power, addresses } = now
    const { disks, leftOut } = isAtRest(power) && !isRemote(uri)
      ? chooseDisks(await restingDisks(now, signal), exclude) : now
    const folder = domain.id === undefined || isRemote(uri)
      ? undefined : await this.#socketFolder(domain)
    const remarks = remarksOn({
      domain, power, isRemote: isRemote(uri), socketFolder: folder,
      foreignCheckpoints: await countForeign(virsh, uuid, signal) })
    const freezing = missingAgent(domain, power) ?? await surveyAgent(
      libvirtAgentAddress({ uuid, uri }), addresses, acceptLogTruncation, clock, signal)
    return {
      power, disks: disks.map(({ id, sizeBytes }) => ({ id, sizeBytes })), leftOut, freezing,
      remarks }
  }

  /** The machine's power and disks; what of its firmware is not kept is among those left out. */
  async #examine(domain: Domain, exclude: readonly string[]): Promise<Examined> {
    const { options: { uri }, major } = this.#parts
    const { disks, leftOut, addresses } = discoverDisks(domain, major)
    const { leftOut: unkept } = await readFirmwareState(domain, uri)
    return {
      power: powerOf(domain), addresses,
      ...chooseDisks({ disks, leftOut: [...leftOut, ...unkept] }, exclude),
    }
  }

  #socketFolder(domain: Domain): Promise<string> {
    const { options: { uri, socketDir }, runDir } = this.#parts
    return socketFolder(domain, {
      uri, configured: socketDir, runDir, userId: process.getuid?.() ?? 0 })
  }

  /**
   * libvirt makes the file, where QEMU may use it: beside an image that QEMU uses, as a rule large
   * enough; a disk that is no file has no folder of its own.
   */
  #scratchFolder({ file }: LibvirtDisk): string {
    const { options: { scratchDir, uri }, runDir } = this.#parts
    if (scratchDir !== undefined) return scratchDir
    return file !== undefined ? dirname(file) : isSession(uri) ? runDir : IMAGES
  }

  #leftHolds(uuid: string): LeftHolds {
    const { runDir, options: { uri }, context: { clock, log } } = this.#parts
    return { runDir, clock, log, sockets: {
      agent: libvirtAgentAddress({ uuid, uri }), qmp: undefined, guardianQmp: undefined } }
  }

  async #releaseLeftHolds(uuid: string, signal: AbortSignal): Promise<FreezerMissing | undefined> {
    await this.#endLeftJob(uuid, resumeStopped, signal)
    return releaseLeftHolds(this.#leftHolds(uuid), async () => {}, signal)
  }

  async #endLeftJob(
    uuid: string, end: typeof endLeftJob, signal: AbortSignal): Promise<void> {
    const { virsh, runDir, context: { clock, log } } = this.#parts
    const ended = await end({ virsh, uuid, runDir, clock }, false, signal)
    if (ended.length > 0) log.warn('libvirt.leftovers-removed', { removed: ended })
  }

  async #removeLeftFiles(scratch: readonly string[], uuid: string): Promise<void> {
    const { runDir, context: { log } } = this.#parts
    const { removed, problems } = await removeLeftFiles([runDir, ...scratch], uuid)
    if (removed.length > 0) log.warn('libvirt.leftovers-removed', { removed })
    if (problems.length > 0) log.warn('libvirt.leftovers', { problems })
  }

  /** How to freeze, or why not. An agent that does not answer is no fault. */
  async #freezer(
    domain: Domain, power: PowerState, guard: Guard, addresses: readonly DiskAddress[],
    unreleased: FreezerMissing | undefined, signal: AbortSignal,
  ): Promise<FileSystemFreezer | FreezerMissing> {
    const missing = unreleased ?? missingAgent(domain, power)
    if (missing === undefined) {
      const { options: { acceptLogTruncation = false }, context: { clock } } = this.#parts
      return guardedFreezer(guard, addresses,
        { unopened: false, acceptsTruncation: acceptLogTruncation }, clock, signal)
    }
    await guard.open(0)
    return missing
  }

  /** For virsh to read. `files` is told of each before it is written. */
  async #writeXml(
    names: JobNames, files: string[], backup: string, checkpoint: string | undefined,
  ): Promise<void> {
    for (const [what, text] of [['backup', backup], ['checkpoint', checkpoint]] as const) {
      if (text === undefined) continue
      const file = join(this.#parts.runDir, names.document(what))
      files.push(file)
      await writeFile(file, text, { mode: 0o600 })
    }
  }
}

interface Examined extends DiscoveredDisks<LibvirtDisk> {
  readonly power: PowerState
}

/** libvirt's names of all disks, captured or not. */
function diskNames({ xml }: Domain): readonly string[] {
  return childrenOf(childAt(xml, 'devices'), 'disk').flatMap((disk) =>
    childAt(disk, 'target')?.attributes.get('dev') ?? [])
}

/** Longest path a unix socket address holds on Linux (unix(7)), without the final zero. */
const MAX_SOCKET_PATH = 107

function checkSocketPath(path: string): void {
  if (Buffer.byteLength(path) <= MAX_SOCKET_PATH) return
  throw new Fault('platform-refused',
    `${printable(path)} is longer than a socket's path may be`, {
      advice: 'Name a folder with a shorter path: libvirt:URI,sockets=DIR (socketDir).' })
}

function remote(): Fault {
  return new Fault('unsupported', 'machines of another host\'s libvirt are listed and diagnosed, ' +
    'and cannot be backed up from here yet', {
    advice: 'Run Stillpoint on the host that runs the machine.' })
}
