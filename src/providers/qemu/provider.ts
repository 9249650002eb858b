/** The QEMU provider: prepares a machine for being captured by us. */

import { join } from 'node:path'
import { throwIfAborted } from '../../base/clock.ts'
import { Fault, isFault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import type {
  FileSystemFreezer, FreezerMissing, PowerState, PrepareRequest, PreparedSet, Provider,
  ProviderSurvey,
} from '../../consistency/mod.ts'
import { Guard } from '../guardian/guard.ts'
import { recordFileFor, type HoldSockets } from '../guardian/record.ts'
import { chooseMethod } from './capture.ts'
import { guardedFreezer } from '../machine/ask-agent.ts'
import { chooseDisks } from '../machine/choose-disks.ts'
import type { DiskAddress } from '../machine/disk-addresses.ts'
import { discoverDisks, type QemuDisk } from './disks.ts'
import { agentChannel, missingAgent } from './guest-agent.ts'
import { OURS, runNames, type RunNames } from '../machine/run-names.ts'
import { plannedNbdServer, startNbdServer } from './nbd-server.ts'
import type { ProviderContext } from '../machine/context.ts'
import type { QemuOptions } from './options.ts'
import { powerOf } from './power.ts'
import { QemuPreparedSet, releaseMachine } from './prepared-set.ts'
import type { QmpClient } from './qmp-client.ts'
import type { QmpConnection } from './qmp-connection.ts'
import { ask } from './qmp-replies.ts'
import { recoverHolds, releaseLeftHolds, type LeftHolds } from '../machine/left-holds.ts'
import { ensureRunDir } from '../machine/run-dir.ts'
import { checkScratchSpace, scratchFolder, scratchSpaces } from '../machine/scratch-space.ts'
import { createScratch, removeScratch } from './scratch.ts'
import { surveyMachine } from './survey.ts'
import { sweepMachine } from './sweep.ts'
import { QemuTracking } from './tracking.ts'

export interface QemuProviderParts {
  readonly options: QemuOptions
  readonly runDir: string
  readonly qmp: QmpConnection
  readonly context: ProviderContext
}

interface FreezerFacts {
  readonly client: QmpClient
  readonly guard: Guard
  readonly power: PowerState
  readonly addresses: readonly DiskAddress[]
  /** Set where an earlier run's hold is not released. */
  readonly unreleased: FreezerMissing | undefined
}

export class QemuProvider implements Provider {
  readonly name = 'qemu'
  readonly #parts: QemuProviderParts

  constructor(parts: QemuProviderParts) {
    this.#parts = parts
  }

  async prepare(request: PrepareRequest, signal: AbortSignal): Promise<PreparedSet> {
    const { options, runDir, qmp, context: { clock, log } } = this.#parts
    const sockets = this.#sockets
    await ensureRunDir(runDir)
    const unreleased = await this.#releaseLeftHolds(signal)
    const client = await qmp.client(signal)
    await this.#sweepLeftovers(client, signal)
    const power = await powerOf(client, signal)
    const found = await discoverDisks(client, signal)
    const { addresses } = found
    const { disks, leftOut } = chooseDisks(found, request.exclude)
    await checkNotBusy(client, signal)
    throwIfAborted(signal)

    const names = runNames(request.pointId)
    const guard = new Guard({
      sockets, recordFile: recordFileFor(runDir, sockets, names.run), nodePrefix: names.prefix,
      clock, settings: {} })
    const nbd = plannedNbdServer(runDir, options.qmp, names.run)
    await using undo = new AsyncDisposableStack()
    let tracking: QemuTracking | undefined
    undo.defer(() => releaseMachine({ qmp, guard, names, nbd, tracking, clock, log }))
    const freezer = await this.#freezer({ client, guard, power, addresses, unreleased }, signal)
    const method = await chooseMethod(client, names, guard, signal)
    await startNbdServer(client, nbd, runDir, signal)
    const scratchFolders: string[] = []
    for (const { file } of disks) {
      scratchFolders.push(await scratchFolder(file, options.scratchDir))
    }
    const spaces = scratchSpaces(
      disks.map(({ sizeBytes }, index) => ({ folder: scratchFolders[index] ?? '/', sizeBytes })),
      options.leastScratchBytes)
    await checkScratchSpace(spaces)
    await addTargets(client, names, disks, scratchFolders, signal)
    await method.prepare(disks, signal)
    if (request.tracking !== undefined) {
      tracking = await QemuTracking.begin(
        client, disks, request.tracking, request.pointId, log, signal)
    }
    undo.move() // the set releases from here on
    return new QemuPreparedSet({ qmp, guard, method, names, disks, leftOut, power, freezer,
      scratchFolders, scratchSpaces: spaces, nbd, tracking, clock, log })
  }

  async survey(exclude: readonly string[], signal: AbortSignal): Promise<ProviderSurvey> {
    const { options, qmp, context: { clock } } = this.#parts
    return surveyMachine(await qmp.client(signal), options, exclude, clock, signal)
  }

  async endLeftHolds(signal: AbortSignal): Promise<void> {
    await ensureRunDir(this.#parts.runDir)
    await this.#releaseLeftHolds(signal)
  }

  async recover(signal: AbortSignal): Promise<readonly string[]> {
    const { runDir, qmp } = this.#parts
    await ensureRunDir(runDir)
    await qmp.release() // a guardian may need our only QMP socket to resume the machine
    const released = await recoverHolds(this.#leftHolds, signal)
    const removed = await this.#sweepLeftovers(await qmp.client(signal), signal)
    return [...released, ...removed.map((what) => `${what} was removed`)]
  }

  get #sockets(): HoldSockets {
    const { agent, qmp, guardianQmp } = this.#parts.options
    return { agent, qmp, guardianQmp }
  }

  get #leftHolds(): LeftHolds {
    const { runDir, context: { clock, log } } = this.#parts
    return { runDir, sockets: this.#sockets, clock, log }
  }

  #releaseLeftHolds(signal: AbortSignal): Promise<FreezerMissing | undefined> {
    // A guardian may need our only QMP socket to resume the machine.
    return releaseLeftHolds(this.#leftHolds, () => this.#parts.qmp.release(), signal)
  }

  async #sweepLeftovers(client: QmpClient, signal: AbortSignal): Promise<readonly string[]> {
    const { clock, log } = this.#parts.context
    const sweep = await sweepMachine(client, OURS, 'if-found', clock, signal)
    if (sweep.removed.length > 0) log.warn('qemu.leftovers-removed', { removed: sweep.removed })
    if (sweep.problems.length === 0) return sweep.removed
    throw new Fault('machine-busy', 'an earlier run left something in the machine that stays: ' +
      printable(sweep.problems.join('; ')), {
      advice: 'Remove the nodes named stillpoint-… with blockdev-del, or restart the machine.' })
  }

  /** How to freeze, or why not. An agent that does not answer is no fault. */
  async #freezer(
    { client, guard, power, addresses, unreleased }: FreezerFacts, signal: AbortSignal,
  ): Promise<FileSystemFreezer | FreezerMissing> {
    const { options, context: { clock } } = this.#parts
    const { agent: path } = options
    const channel = path === undefined ? undefined : await agentChannel(client, path, signal)
    const missing = unreleased ?? missingAgent(path, channel, power)
    if (missing !== undefined) {
      await guard.open(0)
      return missing
    }
    return guardedFreezer(guard, addresses, {
      unopened: channel === 'unopened', acceptsTruncation: options.acceptLogTruncation === true,
    }, clock, signal)
  }
}

/** Makes the overlays and has QEMU open them: only then is it known that it may. */
async function addTargets(
  client: QmpClient, names: RunNames, disks: readonly QemuDisk[], folders: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  for (const [index, disk] of disks.entries()) {
    throwIfAborted(signal)
    const name = names.target(index)
    const folder = folders[index] ?? '/'
    const file = await createScratch(folder, name, disk.sizeBytes, signal)
    try {
      await client.execute('blockdev-add', { driver: 'qcow2', 'node-name': name,
        file: { driver: 'file', filename: file } }, signal)
    } catch (error) {
      throw isFault(error, 'platform-refused') ? scratchRefused(folder, error) : error
    } finally {
      await removeScratch(file)
    }
  }
}

function scratchRefused(folder: string, cause: Fault): Fault {
  return new Fault('platform-refused',
    `QEMU cannot use scratch files in ${printable(folder)}: ${cause.message}`, {
      cause, advice: 'Run as the user that runs QEMU, or name a scratch folder that it may use: ' +
        `${join(folder, '…')} must be readable and writable for it.` })
}

/** Somebody else's work on the disks is never touched. Faults: `machine-busy`. */
async function checkNotBusy(client: QmpClient, signal: AbortSignal): Promise<void> {
  const [job] = await ask(client, 'query-jobs', signal)
  const [exported] = await ask(client, 'query-block-exports', signal)
  const { status: migration } = await ask(client, 'query-migrate', signal)
  const isMoving = ['setup', 'active', 'postcopy-active', 'device', 'pre-switchover']
    .includes(migration ?? '')
  const busy = job !== undefined ? `the ${printable(job.type)} job ${printable(job.id)} runs`
    : exported !== undefined ? `${printable(exported['node-name'])} is exported`
      : isMoving ? 'the machine is being moved to another host' : undefined
  if (busy === undefined) return
  throw new Fault('machine-busy', `another program works on the machine: ${busy}`, {
    retry: 'later', advice: 'Wait until it has ended; nothing of it was touched.' })
}
