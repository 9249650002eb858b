/**
 * The requestor's end where freezes come through hooks: programs and files in the machine are all
 * that leads there. Before the hold the agent's hook client is run with a question; during it
 * nothing is asked; after it the token is read.
 */

import { abortable, deadline, type Clock } from '../base/clock.ts'
import { causesOf, Fault } from '../base/fault.ts'
import { parseJson } from '../base/json.ts'
import { printable } from '../base/text.ts'
import type {
  ApplicationHost, DiscoveredApplication, FreezeHooks, GuestPrograms, HookReport, PreparedWriter,
} from '../consistency/mod.ts'
import {
  parseAnnounced, parseDiscovery, type Announced, type HookDiscovery, type HookStanding,
} from './hook-answers.ts'
import { MAX_TOKEN_BYTES, parseToken, reportOf, TOKEN_FILE } from './hook-token.ts'

export interface HookHostParts {
  readonly programs: GuestPrograms
  /** 32 hexadecimal digits that nobody knew before; of a backup, those of its point's UUID. */
  readonly nonce: string
  /** Which program in the machine runs the hooks of this platform. */
  readonly tool: HookStanding['tool']
  readonly clock: Clock
}

const AGENT = '/usr/local/bin/stillpoint-agent'
/** Where the processor is emulated the client alone takes seconds to start. */
const DISCOVER_MS = 60_000
/** Checkpoints of all databases, one after the other. */
const ANNOUNCE_MS = 600_000
const FORGET_MS = 30_000
const READ_MS = 30_000
const MAX_ANSWER_BYTES = 1024 * 1024

const IGNORED: Readonly<Record<Exclude<HookStanding['state'], 'on'>, string>> = {
  'ignored': 'runs without -F: hooks are ignored',
  'restart': 'runs no hooks until: systemctl restart qemu-guest-agent',
  'not-installed': 'does not run the hook of Stillpoint',
}

/** Looks for the agent and its applications. Faults: `agent-*`, `timed-out`. */
export async function connectHookHost(
  parts: HookHostParts, signal: AbortSignal): Promise<ApplicationHost> {
  const found = parseDiscovery(await ask(parts, ['discover'], DISCOVER_MS, signal))
  return new HookHost(parts, found)
}

/** Runs the client with a question; what it prints is the answer. */
async function ask(
  { programs }: HookHostParts, args: readonly string[], limitMs: number, signal: AbortSignal,
): Promise<unknown> {
  const { code, stdout, stderr } = await programs.run(AGENT, ['hook', ...args], limitMs, signal)
  if (code !== 0) {
    const [said = ''] = stderr.trim().split('\n')
    throw new Fault('agent-unreachable',
      `the agent of Stillpoint in the machine does not answer: ${printable(said, 300)}`, {
        retry: 'later', advice: 'Run stillpoint agent status.' })
  }
  return parseJson(stdout, 'an answer of the agent', 'agent-protocol',
    { maxBytes: MAX_ANSWER_BYTES, maxDepth: 12 })
}

class HookHost implements ApplicationHost {
  readonly agent: string
  readonly hooks: FreezeHooks
  readonly #parts: HookHostParts
  readonly #found: HookDiscovery
  readonly #over = new AbortController()
  #announced: Promise<Announced> | undefined
  /** Whether the agent holds nothing for us any more, as far as we know. */
  #isForgotten = false

  constructor(parts: HookHostParts, found: HookDiscovery) {
    this.#parts = parts
    this.#found = found
    this.agent = `${printable(found.agent, 200)}, by the hooks of ${parts.tool}`
    const standing = found.hooks.find(({ tool }) => tool === parts.tool)
    const report = (signal: AbortSignal): Promise<HookReport> => this.#report(signal)
    this.hooks = standing === undefined || standing.state === 'on' ? { report }
      : { report, ignored: `${parts.tool} ${IGNORED[standing.state]}` }
  }

  discover(): Promise<readonly DiscoveredApplication[]> {
    return Promise.resolve(this.#found.applications)
  }

  /** The first one has all of them prepared. */
  async prepare(
    application: DiscoveredApplication, signal: AbortSignal): Promise<PreparedWriter | undefined> {
    this.#announced ??= this.#announce()
    const answer = (await abortable(this.#announced, signal)).get(application.name)
    if (answer instanceof Fault) throw answer
    if (answer === undefined) {
      throw new Fault('writer-failed', `${printable(application.name)} was not found any more`, {
        retry: 'now' })
    }
    return answer === null ? undefined : this.#hooked(application, answer)
  }

  async #announce(): Promise<Announced> {
    const { nonce } = this.#parts
    return parseAnnounced(
      await ask(this.#parts, ['announce', nonce], ANNOUNCE_MS, this.#over.signal))
  }

  #hooked(
    application: DiscoveredApplication,
    { contract, limits }: Pick<PreparedWriter, 'contract' | 'limits'>,
  ): PreparedWriter {
    const forget = (): Promise<void> => this.#forget()
    return {
      application, contract, limits,
      beginFreeze: () => {
        const held = Promise.reject(new Fault('unsupported',
          `${printable(application.name)} is held by the freeze of the file systems alone`))
        held.catch(() => {})
        return { held, thaw: async () => ({ state: 'unknown', detail: 'it was never asked' }) }
      },
      complete: async () => ({ statement: 'it was given up at the thaw' }),
      abort: forget,
      [Symbol.asyncDispose]: forget,
    }
  }

  async #report(signal: AbortSignal): Promise<HookReport> {
    const { programs, clock, nonce } = this.#parts
    let report: HookReport
    try {
      using limit = deadline(clock, READ_MS, 'reading the token', signal)
      report = reportOf(
        parseToken(await programs.read(TOKEN_FILE, MAX_TOKEN_BYTES, limit.signal)), nonce)
    } catch (error) {
      report = { missing:
        `there is no token that can be read: ${printable(causesOf(error).join(': '), 1000)}` }
    }
    this.#isForgotten ||= 'state' in report && report.state !== 'frozen'
    await this.#forget() // or what it holds would be held until its limit
    return report
  }

  /** Never rejects: the agent lets go by itself. */
  async #forget(): Promise<void> {
    if (this.#announced === undefined || this.#isForgotten) return
    this.#isForgotten = true
    const { clock, nonce } = this.#parts
    using limit = deadline(clock, FORGET_MS, 'the release of applications')
    await ask(this.#parts, ['forget', nonce], FORGET_MS, limit.signal).catch(() => {})
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over.abort(new Fault('interrupted', 'the requestor went away'))
    await this.#forget()
  }
}
