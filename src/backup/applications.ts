/**
 * The applications of a machine round one hold: found and prepared before it, evidence after it,
 * and told at the end whether there is a restore point.
 */

import { deadline, throwIfAborted, type Clock } from '../base/clock.ts'
import { causesOf, isFault } from '../base/fault.ts'
import type { Log } from '../base/log.ts'
import { printable } from '../base/text.ts'
import {
  hookedEvidence, idealWriter, locateData, type ApplicationEvidence, type ApplicationHost,
  type ApplicationHostMissing, type ApplicationsEvidence, type DiscoveredApplication,
  type FileSystemList, type FreezeHooks, type GuestPrograms, type HoldOutcome, type PowerState,
  type PreparedWriter, type ToldApplication, type WriterEvidence,
} from '../consistency/mod.ts'

/** For all writers to look round: servers are found in milliseconds or not at all. */
const DISCOVER_MS = 30_000
/** For one application: a checkpoint of a busy database takes its time. */
const PREPARE_MS = 120_000
/** To be told that there is a point, or that there is none. */
const END_MS = 30_000

export interface ApplicationsRequest {
  /**
   * Who leads to the machine's applications; stays the caller's. Asked for once the machine runs
   * free of what a killed run held: a frozen one cannot answer.
   */
  readonly openApplications: (
    signal: AbortSignal, inside?: InsideMachine,
  ) => Promise<ApplicationHost | ApplicationHostMissing>
  /** The operator says that nothing on the machine keeps durable data. */
  readonly declaredNoApplications: boolean
  readonly clock: Clock
  readonly log: Log
}

/** What leads into a machine beside a channel of its own. */
export interface InsideMachine {
  readonly programs: GuestPrograms
  /** Of this run alone: 32 hexadecimal digits. */
  readonly nonce: string
}

/** The machine when its applications are looked for. */
export interface MachineNow {
  readonly power: PowerState
  readonly inside?: InsideMachine
}

interface Found {
  readonly application: DiscoveredApplication
  readonly writer: PreparedWriter | undefined
  /** Why there is no writer. */
  readonly without: WriterEvidence
}

type Discovery =
  | { readonly impossible: string }
  | {
      readonly by: string
      readonly found: readonly Found[]
      readonly hooks: FreezeHooks | undefined
    }

/** Owns the prepared writers: disposing ends each that was not told of a point. */
export class RoundOfApplications implements AsyncDisposable {
  readonly #request: ApplicationsRequest
  readonly #discovery: Discovery
  #isComplete = false

  private constructor(request: ApplicationsRequest, discovery: Discovery) {
    this.#request = request
    this.#discovery = discovery
  }

  /**
   * Finds the machine's applications and prepares the protected ones. What cannot be asked is no
   * fault: the evidence says so. Faults: the signal's reason.
   */
  static async prepare(
    request: ApplicationsRequest, { power, inside }: MachineNow, signal: AbortSignal,
  ): Promise<RoundOfApplications> {
    if (power !== 'running') {
      return new RoundOfApplications(request, { impossible: 'the machine does not run' })
    }
    const host = await request.openApplications(signal, inside)
    if ('missing' in host) return new RoundOfApplications(request, { impossible: host.missing })
    const found: Found[] = []
    const round = new RoundOfApplications(
      request, { by: printable(host.agent, 256), found, hooks: host.hooks })
    try {
      for (const application of await discover(host, request.clock, signal)) {
        found.push(await prepareOne(host, application, request, signal))
      }
      return round
    } catch (error) {
      await round[Symbol.asyncDispose]()
      throwIfAborted(signal)
      if (!isFault(error)) throw error
      return new RoundOfApplications(request, { impossible: printable(error.message) })
    }
  }

  /** What each did in the hold, by the name of its application. Faults: the signal's reason. */
  async settle(
    { hold, instant, writers }: HoldOutcome, signal: AbortSignal,
  ): Promise<ReadonlyMap<string, WriterEvidence>> {
    const { hooks } = this
    if (hooks === undefined) return writers
    const report = await hooks.report(signal)
    throwIfAborted(signal)
    const hooked = this.#found.flatMap(({ writer }) => writer ?? [])
    return hookedEvidence(hooked, report, hold, instant)
  }

  /** There if the freeze of the file systems is what holds the applications. */
  get hooks(): FreezeHooks | undefined {
    return 'found' in this.#discovery ? this.#discovery.hooks : undefined
  }

  /** In the order of freezing: those that are locked come last, and so are locked the shortest. */
  get writers(): readonly PreparedWriter[] {
    if (this.hooks !== undefined) return []
    const weight = ({ contract }: PreparedWriter): number => contract.kind === 'held' ? 1 : 0
    return this.#found.flatMap(({ writer }) => writer ?? [])
      .toSorted((a, b) => weight(a) - weight(b))
  }

  /** With what each writer did in the hold, by the name of its application. */
  evidence(
    did: ReadonlyMap<string, WriterEvidence>, list: FileSystemList): ApplicationsEvidence {
    return this.#evidence(list, ({ application, without }) =>
      did.get(application.name) ?? without)
  }

  /** As if each writer had done what it can do. */
  prospect(list: FileSystemList): ApplicationsEvidence {
    return this.#evidence(list, ({ writer, without }) =>
      writer === undefined ? without : idealWriter(writer))
  }

  /** There is a restore point: tells each application, which may now drop what it kept. */
  async complete(signal: AbortSignal): Promise<readonly ToldApplication[]> {
    this.#isComplete = true
    const told: ToldApplication[] = []
    for (const { application, writer } of this.#found) {
      if (writer === undefined || this.hooks !== undefined) continue // released at the thaw
      const failure = await this.#ended(
        application, 'complete', (signal) => writer.complete(signal), signal)
      told.push({
        name: printable(application.name, 256), detail: failure ?? '',
        outcome: failure === undefined ? 'told' : 'failed' })
    }
    return told
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { application, writer } of this.#found) {
      if (writer === undefined) continue
      if (!this.#isComplete) {
        await this.#ended(application, 'abort', (signal) => writer.abort(signal))
      }
      await writer[Symbol.asyncDispose]()
    }
  }

  get #found(): readonly Found[] {
    return 'found' in this.#discovery ? this.#discovery.found : []
  }

  #evidence(
    list: FileSystemList, writerOf: (found: Found) => WriterEvidence): ApplicationsEvidence {
    const declaredNone = this.#request.declaredNoApplications
    if ('impossible' in this.#discovery) {
      const reason = this.#discovery.impossible
      return { declaredNone, discovery: { state: 'impossible', reason } }
    }
    const { by, found } = this.#discovery
    const applications = found.map((it): ApplicationEvidence => {
      const { name, kind, recovery, data } = it.application
      return { name, kind, recovery, data: locateData(data, list), writer: writerOf(it) }
    })
    return { declaredNone, discovery: { state: 'done', by, applications } }
  }

  /** The backup has ended already, well or not: a failure, which it returns, is a warning. */
  async #ended(
    { name }: DiscoveredApplication, how: 'complete' | 'abort',
    tell: (signal: AbortSignal) => Promise<unknown>, signal?: AbortSignal,
  ): Promise<string | undefined> {
    const { clock, log } = this.#request
    using limit = deadline(clock, END_MS, `${how} of ${name}`, signal)
    try {
      await tell(limit.signal)
      return undefined
    } catch (error) {
      const reason = printable(causesOf(error).join(': '), 1000)
      log.warn(`application.${how}-failed`, { application: printable(name, 100), reason })
      return reason
    }
  }
}

async function discover(
  host: ApplicationHost, clock: Clock, signal: AbortSignal,
): Promise<readonly DiscoveredApplication[]> {
  using limit = deadline(clock, DISCOVER_MS, 'looking for applications', signal)
  return await host.discover(limit.signal)
}

async function prepareOne(
  host: ApplicationHost, application: DiscoveredApplication,
  { clock, log }: ApplicationsRequest, signal: AbortSignal,
): Promise<Found> {
  const without = (
    reason: 'no-writer' | 'not-reachable' | 'hook-ignored', detail: string): Found =>
    ({ application, writer: undefined, without: { contract: 'none', reason, detail } })
  const advice = printable(application.advice ?? '', 1000)
  if (application.kind === 'incidental') return without('no-writer', advice)
  const name = printable(application.name, 100)
  using limit = deadline(clock, PREPARE_MS, `preparing ${name}`, signal)
  try {
    const writer = await host.prepare(application, limit.signal)
    const ignored = host.hooks?.ignored
    if (writer !== undefined && ignored !== undefined) {
      await writer[Symbol.asyncDispose]()
      return without('hook-ignored', ignored)
    }
    return writer === undefined ? without('no-writer', advice)
      : { application, writer, without: { contract: 'none', reason: 'not-tried', detail: '' } }
  } catch (error) {
    throwIfAborted(signal)
    if (!isFault(error)) throw error
    const detail = printable(causesOf(error).join(': '), 1000)
    log.warn('application.not-prepared', { application: name, reason: detail })
    return without('not-reachable', detail)
  }
}
