/**
 * Programs and files in a guest, by qemu-ga (QEMU Guest Agent Protocol Reference: guest-exec,
 * guest-exec-status, guest-file-open, guest-file-read, guest-file-close).
 */

import { deadline, type Clock } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import { isJsonObject } from '../../base/json.ts'
import { printable } from '../../base/text.ts'
import type { GuestExit, GuestPrograms } from '../../consistency/mod.ts'

/** Carries out one command of qemu-ga. Faults: `agent-*`, or the signal's reason. */
export type AskGuest = (
  command: string, args: Readonly<Record<string, unknown>>, signal: AbortSignal,
) => Promise<unknown>

/** For one command; a chunk of a file takes a tenth of a second where the processor is emulated. */
export const COMMAND_MS = 30_000
const POLL_MS = 100
const MAX_OUTPUT_CHARS = 1024 * 1024
/** Without base64; others keep a message below 64 KiB. */
export const CHUNK_BYTES = 48 * 1024

export class QemuPrograms implements GuestPrograms {
  readonly #ask: AskGuest
  readonly #clock: Clock

  constructor(ask: AskGuest, clock: Clock) {
    this.#ask = ask
    this.#clock = clock
  }

  async run(
    program: string, args: readonly string[], limitMs: number, signal: AbortSignal,
  ): Promise<GuestExit> {
    using limit = deadline(this.#clock, limitMs, `${program} in the guest`, signal)
    const started = await this.ask('guest-exec', {
      path: program, arg: args, 'capture-output': true }, limit.signal)
    const pid = integer(started['pid'])
    for (;;) {
      const status = await this.ask('guest-exec-status', { pid }, limit.signal)
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

  async read(path: string, maxBytes: number, signal: AbortSignal): Promise<Uint8Array> {
    const handle = await this.open(path, 'r', signal)
    try {
      const parts: Buffer[] = []
      for (let size = 0; ;) {
        const answer = await this.ask('guest-file-read', { handle, count: CHUNK_BYTES }, signal)
        const part = Buffer.from(base64(answer['buf-b64']), 'base64')
        size += part.length
        if (size > maxBytes || part.length > CHUNK_BYTES) {
          throw new Fault('agent-protocol',
            `${printable(path, 200)} in the guest is longer than ${maxBytes} bytes`)
        }
        parts.push(part)
        if (answer['eof'] === true) return Buffer.concat(parts)
        if (part.length === 0) throw nonsense() // it would never end
      }
    } finally {
      await this.close(handle)
    }
  }

  /** The handle of an opened file. Faults: `agent-*`. */
  async open(path: string, mode: 'r' | 'w', signal: AbortSignal): Promise<number> {
    return integer(await this.askAny('guest-file-open', { path, mode }, signal))
  }

  /** A handle that stays open is lost to the agent until it is started again. Never rejects. */
  async close(handle: number): Promise<void> {
    await this.askAny('guest-file-close', { handle }, undefined).catch(() => {})
  }

  async ask(
    command: string, args: Readonly<Record<string, unknown>>, signal: AbortSignal | undefined,
  ): Promise<Readonly<Record<string, unknown>>> {
    const answer = await this.askAny(command, args, signal)
    if (!isJsonObject(answer)) throw nonsense()
    return answer
  }

  async askAny(
    command: string, args: Readonly<Record<string, unknown>>, signal: AbortSignal | undefined,
  ): Promise<unknown> {
    using limit = deadline(this.#clock, COMMAND_MS, command, signal)
    return await this.#ask(command, args, limit.signal)
  }
}

export function integer(value: unknown): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value
  throw nonsense()
}

/** What is not UTF-8 in it becomes marks. */
function output(value: unknown): string {
  return value === undefined ? ''
    : Buffer.from(base64(value), 'base64').toString().slice(0, MAX_OUTPUT_CHARS)
}

function base64(value: unknown): string {
  if (typeof value !== 'string') throw nonsense()
  return value
}

export function nonsense(): Fault {
  return new Fault('agent-protocol', 'the agent sent an answer that cannot be understood')
}
