/** A run of diskshadow that is held in the middle by its `exec`. */

import { spawn, type ChildProcess } from 'node:child_process'
import { createServer, type Server, type Socket } from 'node:net'
import { abortable, reasonOf, type Clock } from '../../../base/clock.ts'
import { Fault } from '../../../base/fault.ts'
import { quietEnvironment } from '../../../base/program.ts'
import { printable } from '../../../base/text.ts'
import { decodeOutput } from './output.ts'

/** A program and what comes before a script's own arguments. */
export interface Command {
  readonly program: string
  readonly args: readonly string[]
}

export interface HeldScriptRequest {
  readonly command: Command
  readonly scriptFile: string
  /** A named pipe of Windows, or a unix socket, that the holder connects to. */
  readonly pipe: string
  readonly clock: Clock
}

/** What Windows' own programs need to start. */
const ENVIRONMENT = ['SystemRoot', 'SystemDrive', 'windir', 'TEMP', 'TMP', 'PATHEXT', 'COMSPEC']
const MAX_OUTPUT = 4 * 1024 * 1024
/** For a script whose holder has failed. */
const END_MS = 30_000

export class HeldScript implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly #server: Server
  readonly #clock: Clock
  readonly #chunks: Buffer[]
  readonly #held: Promise<Socket>
  /** The exit code; null for one that was killed or did not start. */
  readonly ended: Promise<number | null>
  #holder: Socket | undefined

  private constructor(
    child: ChildProcess, server: Server, held: Promise<Socket>, clock: Clock) {
    this.#child = child
    this.#clock = clock
    this.#server = server
    this.#held = held
    const chunks: Buffer[] = []
    this.#chunks = chunks
    let size = 0
    const collect = (chunk: Buffer): void => {
      size += chunk.length
      if (size <= MAX_OUTPUT) chunks.push(chunk)
    }
    child.stdout?.on('data', collect)
    child.stderr?.on('data', collect)
    this.ended = new Promise((resolve) => {
      child.on('error', () => resolve(null))
      child.on('close', (code) => resolve(code))
    })
  }

  static async start(
    { command, scriptFile, pipe, clock }: HeldScriptRequest, signal: AbortSignal,
  ): Promise<HeldScript> {
    const server = createServer()
    const held = new Promise<Socket>((resolve) => {
      server.on('connection', (socket) => {
        socket.on('error', () => {})
        socket.once('data', () => resolve(socket))
      })
    })
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(pipe, resolve)
    })
    server.on('error', () => {})
    if (signal.aborted) {
      server.close()
      throw reasonOf(signal)
    }
    const child = spawn(command.program, [...command.args, '/s', scriptFile], {
      stdio: ['ignore', 'pipe', 'pipe'], env: quietEnvironment(ENVIRONMENT), windowsHide: true })
    return new HeldScript(child, server, held, clock)
  }

  get output(): string {
    return decodeOutput(Buffer.concat(this.#chunks))
  }

  /** Resolves when the set is there; false if diskshadow ended without one. */
  async untilHeld(signal: AbortSignal): Promise<boolean> {
    const holder = await abortable(
      Promise.race([this.#held, this.ended.then(() => undefined)]), signal)
    this.#holder = holder
    return holder !== undefined
  }

  /** Lets the script go on, and waits for its end. Fault: `program-failed`. */
  async finish(signal: AbortSignal): Promise<void> {
    this.#holder?.end('+\n')
    const code = await abortable(this.ended, signal)
    if (code === 0) return
    throw new Fault('program-failed', `diskshadow ended with ${code ?? 'a signal'}: ${
      printable(this.output.trim().split('\n').slice(-3).join('; '), 300)}`)
  }

  /** Ends the script where it is: its holder fails, and nothing behind it is done. */
  async break(signal: AbortSignal): Promise<void> {
    this.#holder?.destroy()
    if (this.#holder === undefined) this.#child.kill()
    await abortable(this.ended, signal)
  }

  /** As `break`; one that does not end by itself is killed, which ends its session too. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close()
    this.#holder?.destroy()
    if (this.#holder === undefined) this.#child.kill()
    using _ = this.#clock.after(END_MS, () => this.#child.kill('SIGKILL'))
    await this.ended
  }
}
