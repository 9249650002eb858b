/**
 * Programs and files in a guest, by qemu-ga (QEMU Guest Agent Protocol Reference: guest-exec,
 * guest-exec-status, guest-file-open, guest-file-write, guest-file-close).
 */

import { deadline, type Clock } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import { isJsonObject } from '../../base/json.ts'
import { printable } from '../../base/text.ts'
import type { GuestAccess, GuestExit } from '../../catalog/mod.ts'
import { AgentClient } from '../guardian/agent-client.ts'

const NEEDED = [
  'guest-exec', 'guest-exec-status', 'guest-file-open', 'guest-file-write', 'guest-file-close',
]
/** Without base64; qemu-ga reads its port by 4 KiB, and others keep a message below 64 KiB. */
const CHUNK_BYTES = 48 * 1024
/** For one command; a chunk takes a tenth of a second where the processor is emulated. */
const COMMAND_MS = 30_000
const CONNECT_MS = 10_000
const POLL_MS = 100
const MAX_OUTPUT_CHARS = 1024 * 1024

/**
 * Connects to the agent at `path`; while it is open, nobody else is served there.
 * Faults: `agent-*`, `machine-busy` if the guest is frozen.
 */
export async function openGuestAccess(
  path: string, clock: Clock, signal: AbortSignal): Promise<GuestAccess> {
  await using stack = new AsyncDisposableStack()
  const client = stack.use(await AgentClient.connect(path, CONNECT_MS, clock, signal))
  using limit = deadline(clock, COMMAND_MS, 'the agent', signal)
  const { version, enabledCommands } = await client.version(limit.signal)
  if (await client.status(limit.signal) === 'frozen') {
    throw new Fault('machine-busy', 'the guest is frozen', {
      retry: 'later', advice: 'Wait for the backup to end, or run: stillpoint recover.' })
  }
  stack.move()
  const forbidden = NEEDED.filter((name) => !enabledCommands.has(name))
  return new QemuGuest(client, clock, `qemu-ga ${printable(version, 64)}`, forbidden)
}

class QemuGuest implements GuestAccess {
  readonly agent: string
  readonly forbidden: readonly string[]
  readonly #client: AgentClient
  readonly #clock: Clock

  constructor(client: AgentClient, clock: Clock, agent: string, forbidden: readonly string[]) {
    this.#client = client
    this.#clock = clock
    this.agent = agent
    this.forbidden = forbidden
  }

  async run(
    program: string, args: readonly string[], limitMs: number, signal: AbortSignal,
  ): Promise<GuestExit> {
    using limit = deadline(this.#clock, limitMs, `${program} in the guest`, signal)
    const started = await this.#ask('guest-exec', {
      path: program, arg: args, 'capture-output': true }, limit.signal)
    const pid = integer(started['pid'])
    for (;;) {
      const status = await this.#ask('guest-exec-status', { pid }, limit.signal)
      if (status['exited'] === true) {
        const { exitcode: code } = status
        return {
          code: code === undefined ? null : integer(code),
          stdout: output(status['out-data']), stderr: output(status['err-data']),
        }
      }
      await this.#clock.sleep(POLL_MS, limit.signal)
    }
  }

  async write(
    path: string, content: AsyncIterable<Uint8Array>, onWritten: (bytes: number) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const handle = integer(await this.#askAny('guest-file-open', { path, mode: 'w' }, signal))
    try {
      let written = 0
      for await (const bytes of content) {
        for (let at = 0; at < bytes.length;) {
          const chunk = Buffer.from(bytes.subarray(at, at + CHUNK_BYTES))
          const count = await this.#writeSome(handle, chunk, signal)
          at += count
          written += count
          onWritten(written)
        }
      }
    } catch (error) {
      // A handle that stays open is lost to the agent until it is started again.
      await this.#askAny('guest-file-close', { handle }, undefined).catch(() => {})
      throw error
    }
    await this.#askAny('guest-file-close', { handle }, signal) // what it buffered may fail here
  }

  async #writeSome(handle: number, chunk: Buffer, signal: AbortSignal): Promise<number> {
    const answer = await this.#ask(
      'guest-file-write', { handle, 'buf-b64': chunk.toString('base64') }, signal)
    const count = integer(answer['count'])
    if (count < 1 || count > chunk.length) throw nonsense()
    return count
  }

  async #ask(
    command: string, args: Readonly<Record<string, unknown>>, signal: AbortSignal | undefined,
  ): Promise<Readonly<Record<string, unknown>>> {
    const answer = await this.#askAny(command, args, signal)
    if (!isJsonObject(answer)) throw nonsense()
    return answer
  }

  async #askAny(
    command: string, args: Readonly<Record<string, unknown>>, signal: AbortSignal | undefined,
  ): Promise<unknown> {
    using limit = deadline(this.#clock, COMMAND_MS, command, signal)
    return await this.#client.ask(command, args, limit.signal)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#client[Symbol.asyncDispose]()
  }
}

function integer(value: unknown): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value
  throw nonsense()
}

/** What is not UTF-8 in it becomes marks. */
function output(value: unknown): string {
  if (value === undefined) return ''
  if (typeof value !== 'string') throw nonsense()
  return Buffer.from(value, 'base64').toString().slice(0, MAX_OUTPUT_CHARS)
}

function nonsense(): Fault {
  return new Fault('agent-protocol', 'the agent sent an answer that cannot be understood')
}
