/**
 * The agent of one of libvirt's machines, as a stream like the socket that libvirt holds: each line
 * becomes a `virsh qemu-agent-command` (virsh(1)), one after the other, and its answer a line.
 *
 * Not `domfsfreeze` and `domfsthaw`: they tell counts, but no libvirt call tells whether a guest is
 * still frozen, and a thaw that is not shown is none. The guardian imports this file: keep its
 * imports few.
 */

import { Duplex } from 'node:stream'
import { deadline, systemClock } from '../../base/clock.ts'
import { Fault, isFault } from '../../base/fault.ts'
import { isJsonObject, parseJson } from '../../base/json.ts'
import { LineSplitter } from '../../base/lines.ts'
import { systemRandom } from '../../base/random.ts'
import { printable } from '../../base/text.ts'
import { parseLibvirtAgent, type LibvirtAgent } from './agent-address.ts'
import { Virsh } from './virsh.ts'

/** A command to the agent: one that is written to a file of the guest holds 64 KiB of base64. */
const MAX_LINE_BYTES = 1024 * 1024
const SENTINEL = 0xff
/** These may take as long as hooks in the guest take, and end when they end. */
const UNLIMITED = new Set(['guest-fsfreeze-freeze', 'guest-fsfreeze-freeze-list',
  'guest-fsfreeze-thaw'])
/** For libvirt to wait for any other answer, and for virsh to say what came of it. */
const ANSWER_S = 30
const VIRSH_MS = 40_000
/** A freeze is given up long before. */
const UNLIMITED_MS = 60 * 60_000
/**
 * For a ping. libvirt itself gives a silent agent up after five seconds (VIR_DOMAIN_QEMU_AGENT_
 * COMMAND_DEFAULT), so one that takes longer waits for another client's command to end.
 */
const PING_MS = 8_000
const GONE_MS = 5_000

/**
 * Opens the agent that `address` names; nothing is asked yet. Destroying the stream leaves a
 * command under way to libvirt. The stream ends with `agent-unreachable`, `machine-busy`,
 * `platform-unreachable` or `program-missing`.
 */
export function openLibvirtAgent(address: string, signal: AbortSignal): Promise<Duplex> {
  signal.throwIfAborted()
  const agent = parseLibvirtAgent(address)
  if (agent === undefined) {
    return Promise.reject(new Fault('agent-unreachable', 'no agent of libvirt is named so'))
  }
  return Promise.resolve(new LibvirtAgentStream(agent))
}

/** Whether libvirt says that the machine does not run. What cannot be told is `false`. */
export async function isDomainGone(address: string): Promise<boolean> {
  const agent = parseLibvirtAgent(address)
  if (agent === undefined) return false
  await using virsh = new Virsh(agent.uri, systemClock, systemRandom)
  using limit = deadline(systemClock, GONE_MS, 'libvirt')
  try {
    const state = await virsh.run(['domstate', agent.uuid], limit.signal)
    return ['shut off', 'crashed'].includes(state.trim())
  } catch (error) {
    return isFault(error, 'machine-not-found')
  }
}

class LibvirtAgentStream extends Duplex {
  readonly #uuid: string
  readonly #virsh: Virsh
  readonly #splitter = new LineSplitter({
    maxBytes: MAX_LINE_BYTES, from: 'the requestor', code: 'agent-protocol' })
  readonly #ending = new AbortController()

  constructor({ uuid, uri }: LibvirtAgent) {
    super({ allowHalfOpen: false })
    this.#uuid = uuid
    this.#virsh = new Virsh(uri, systemClock, systemRandom)
    this.#virsh.open()
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error) => void): void {
    try {
      for (const line of this.#splitter.push(chunk)) void this.#carryOut(line)
      done()
    } catch (error) {
      done(error instanceof Error ? error : new Error(String(error)))
    }
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#ending.abort(error ?? new Fault('agent-unreachable', 'the connection was closed'))
    void this.#virsh[Symbol.asyncDispose]().then(() => done(error))
  }

  async #carryOut(line: Buffer): Promise<void> {
    try {
      const text = line.subarray(line.lastIndexOf(SENTINEL) + 1)
      const request = parseJson(text, 'a command to the agent', 'agent-protocol')
      if (!isJsonObject(request)) return
      const { execute, arguments: args } = request
      if (execute !== 'guest-sync-delimited') {
        const answer = await this.#ask(JSON.stringify(request), String(execute))
        this.push(`${answer}\n`)
        return
      }
      // libvirt synchronises before each command by itself.
      const { signal } = this.#ending
      using limit = deadline(systemClock, PING_MS, 'the agent', signal)
      await this.#ask('{"execute":"guest-ping"}', 'guest-ping', limit.signal)
      const id = isJsonObject(args) ? args['id'] : undefined
      this.push(Buffer.concat([
        Buffer.of(SENTINEL), Buffer.from(`${JSON.stringify({ return: id })}\n`)]))
    } catch (error) {
      this.destroy(isFault(error, 'timed-out') ? busy(error) : error as Error)
    }
  }

  /** The agent's answer, one line; a refusal of the agent is an answer too. */
  async #ask(
    command: string, name: string, signal: AbortSignal = this.#ending.signal): Promise<string> {
    const isUnlimited = UNLIMITED.has(name)
    const wait = isUnlimited ? ['--block'] : ['--timeout', String(ANSWER_S)]
    // What is not ASCII must not depend on the locale that virsh finds.
    const ascii = command.replace(/[\u007f-\uffff]/g,
      (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
    try {
      const answer = await this.#virsh.run(
        ['qemu-agent-command', this.#uuid, ...wait, ascii], signal,
        { limitMs: isUnlimited ? UNLIMITED_MS : VIRSH_MS })
      return answer.replaceAll('\n', '').trim()
    } catch (error) {
      if (!isFault(error, 'platform-refused')) throw error
      const refused = /unable to execute QEMU agent command '[^']*': (.*)$/.exec(error.message)?.[1]
      if (refused !== undefined) {
        return JSON.stringify({ error: { class: 'GenericError', desc: refused } })
      }
      throw /cannot acquire state change lock/.test(error.message) ? busy(error)
        : new Fault('agent-unreachable', agentWords(error.message), { cause: error,
            retry: 'later', advice: 'Check that qemu-guest-agent runs in the guest.' })
    }
  }
}

function agentWords(said: string): string {
  return `the agent cannot be asked: ${printable(said.replace(/^libvirt refused: /, ''), 300)}`
}

function busy(cause: Fault): Fault {
  return new Fault('machine-busy', 'another client of libvirt is using the agent', {
    cause, retry: 'later', advice: 'Wait for its command to end; libvirt lets one in at a time.' })
}
