/**
 * Programs and files in a guest over a connection of its own to qemu-ga (QEMU Guest Agent Protocol
 * Reference: besides those of guest-programs.ts, guest-file-write).
 */

import { deadline, type Clock } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import type { GuestAccess } from '../../catalog/mod.ts'
import { AgentClient } from '../guardian/agent-client.ts'
import {
  CHUNK_BYTES, COMMAND_MS, integer, nonsense, QemuPrograms,
} from './guest-programs.ts'

const NEEDED = [
  'guest-exec', 'guest-exec-status', 'guest-file-open', 'guest-file-write', 'guest-file-close',
]
const CONNECT_MS = 10_000

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

class QemuGuest extends QemuPrograms implements GuestAccess {
  readonly agent: string
  readonly forbidden: readonly string[]
  readonly #client: AgentClient

  constructor(client: AgentClient, clock: Clock, agent: string, forbidden: readonly string[]) {
    super((command, args, signal) => client.ask(command, args, signal), clock)
    this.#client = client
    this.agent = agent
    this.forbidden = forbidden
  }

  async write(
    path: string, content: AsyncIterable<Uint8Array>, onWritten: (bytes: number) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const handle = await this.open(path, 'w', signal)
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
      await this.close(handle)
      throw error
    }
    await this.askAny('guest-file-close', { handle }, signal) // what it buffered may fail here
  }

  async #writeSome(handle: number, chunk: Buffer, signal: AbortSignal): Promise<number> {
    const answer = await this.ask(
      'guest-file-write', { handle, 'buf-b64': chunk.toString('base64') }, signal)
    const count = integer(answer['count'])
    if (count < 1 || count > chunk.length) throw nonsense()
    return count
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#client[Symbol.asyncDispose]()
  }
}
