/**
 * One `virsh` that is kept open and given one command after the other (virsh(1), without a command
 * it is a shell). docs/decisions/0006-libvirt-by-virsh.md says why virsh and why one.
 *
 * Where a command's output ends is told by a mark of random digits: printed on standard output by
 * `echo`, and on standard error by naming it as a command, which virsh does not know. The guardian
 * imports this file: keep its imports few.
 */

import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process'
import { deadline, reasonOf, throwIfAborted, type Clock } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import { quietEnvironment } from '../../base/program.ts'
import type { RandomBytes } from '../../base/random.ts'
import { printable } from '../../base/text.ts'
import { isSession } from './options.ts'

/** For a command unless its caller says otherwise; with `-c` of ssh the connection is in it. */
const COMMAND_MS = 30_000
/** Of one answer: a domain's XML is some 300 kB at most, an agent's answer 4 MiB. */
const MAX_OUTPUT = 16 * 1024 * 1024
const MAX_ERROR = 256 * 1024
/** Commands written and not answered: the guardian has no more than a handful. */
const MAX_PENDING = 32
const END_MS = 2_000
/** What virsh prints on standard error although the command goes on. */
const NO_ERRORS =
  /^error: (?:Reconnected to|Disconnected from|Failed to create '\/dev\/null)|^warning: /

interface Waiting {
  readonly digits: string
  readonly resolve: (output: string) => void
  readonly reject: (error: Error) => void
}

export interface RunOptions {
  readonly limitMs?: number
}

/** What most of this folder needs of it. */
export type VirshCommands = Pick<Virsh, 'run'>

export class Virsh implements AsyncDisposable {
  readonly uri: string
  readonly #clock: Clock
  readonly #random: RandomBytes
  #shell: Shell | undefined

  /** Starts nothing yet. `uri` is one that `parseLibvirtTarget` let through. */
  constructor(uri: string, clock: Clock, random: RandomBytes) {
    this.uri = uri
    this.#clock = clock
    this.#random = random
  }

  /** Starts the program now, so that no command has to. */
  open(): void {
    if (this.#shell?.isOpen !== true) this.#shell = new Shell(this.uri, this.#random)
  }

  /**
   * Runs one command behind those that were given before; what it printed. A command that is late
   * or not wanted any more ends the program, and libvirt may carry it out all the same. Faults:
   * `platform-unreachable`, `platform-refused` (libvirt's own words), `machine-not-found`,
   * `program-missing`, `timed-out`, or the signal's reason.
   */
  async run(
    words: readonly string[], signal: AbortSignal, { limitMs = COMMAND_MS }: RunOptions = {},
  ): Promise<string> {
    throwIfAborted(signal)
    this.open()
    const shell = this.#shell
    if (shell === undefined) throw new Fault('platform-unreachable', 'virsh is not there')
    using limit = deadline(this.#clock, limitMs, `virsh ${words[0] ?? ''}`, signal)
    const onLate = (): void => shell.end(reasonOf(limit.signal))
    limit.signal.addEventListener('abort', onLate, { once: true })
    try {
      return await shell.run(words)
    } finally {
      limit.signal.removeEventListener('abort', onLate)
    }
  }

  /** Ends the program; a command under way may go on in libvirt. Another `run` starts anew. */
  async [Symbol.asyncDispose](): Promise<void> {
    const shell = this.#shell
    this.#shell = undefined
    await shell?.close(this.#clock)
  }
}

class Shell {
  readonly #child: ChildProcessWithoutNullStreams
  readonly #random: RandomBytes
  readonly #waiting: Waiting[] = []
  readonly #closed = Promise.withResolvers<void>()
  #output = ''
  #errors = ''
  #ended: Error | undefined
  #isGone = false

  constructor(uri: string, random: RandomBytes) {
    this.#random = random
    // A process group of its own: what an operator's Ctrl-C ends must not be in it.
    this.#child = spawn('virsh', ['-q', '-c', uri], { detached: true, env: environment(uri) })
    const { stdout, stderr, stdin } = this.#child
    stdout.setEncoding('utf8').on('data', (text: string) => this.#receive(text, ''))
    stderr.setEncoding('utf8').on('data', (text: string) => this.#receive('', text))
    stdin.on('error', () => {}) // its end is noticed by `close`
    this.#child.on('error', (cause: NodeJS.ErrnoException) => this.end(cause.code === 'ENOENT'
      ? new Fault('program-missing', 'virsh is not installed', {
          cause, advice: 'Install libvirt-clients (Debian) or libvirt-client.' })
      : new Fault('platform-unreachable', 'virsh could not be started', { cause })))
    this.#child.on('close', () => {
      this.#isGone = true
      this.end(unreachable(uri, this.#errors))
      this.#closed.resolve()
    })
  }

  get isOpen(): boolean {
    return this.#ended === undefined
  }

  async run(words: readonly string[]): Promise<string> {
    if (this.#ended !== undefined) throw this.#ended
    if (this.#waiting.length >= MAX_PENDING) {
      throw new Fault('platform-unreachable', 'virsh leaves its commands unanswered')
    }
    const digits = Buffer.from(this.#random(12)).toString('hex')
    const line = words.map(quoted).join(' ')
    const { promise, resolve, reject } = Promise.withResolvers<string>()
    this.#waiting.push({ digits, resolve, reject })
    // Written in one piece: what follows a freeze is carried out though this process dies.
    this.#child.stdin.write(`${line}\n${unknownCommand(digits)}\necho sp-"${digits}"\n`)
    return promise
  }

  #receive(output: string, errors: string): void {
    this.#output += output
    this.#errors += errors
    if (this.#output.length > MAX_OUTPUT || this.#errors.length > MAX_ERROR) {
      return this.end(new Fault('platform-protocol', 'virsh printed too much'))
    }
    for (;;) {
      const waiting = this.#waiting[0]
      if (waiting === undefined) return
      const answer = this.#takeAnswer(waiting)
      if (answer === undefined) return
      this.#waiting.shift()
      if (typeof answer === 'string') waiting.resolve(answer)
      else waiting.reject(answer)
    }
  }

  /** The command's output, or why it failed; undefined while it is not whole. */
  #takeAnswer({ digits }: Waiting): string | Fault | undefined {
    const errorAt = this.#errors.indexOf(`'${unknownCommand(digits)}'`)
    const errorEnd = this.#errors.indexOf('\n', errorAt)
    const outputAt = this.#output.indexOf(`sp-${digits}`)
    if (errorAt === -1 || errorEnd === -1 || outputAt === -1) return undefined
    const output = this.#output.slice(0, outputAt)
    const errors = this.#errors.slice(0, errorAt).replace(/.*$/, '')
    this.#output = this.#output.slice(outputAt + digits.length + 3)
    this.#errors = this.#errors.slice(errorEnd + 1)
    const said = errorsIn(errors)
    return said === '' ? withoutPrompts(output, digits) : refusal(said)
  }

  /** Ends the program and everything that waits for it. */
  end(reason: Error): void {
    this.#ended ??= reason
    for (const waiting of this.#waiting.splice(0)) waiting.reject(this.#ended)
    this.#kill()
  }

  /** The whole group: ssh, where it carries the connection, is a process of its own. */
  #kill(): void {
    const { pid } = this.#child
    if (pid === undefined || this.#isGone) return
    try {
      process.kill(-pid, 'SIGKILL')
    } catch {
      // It has ended meanwhile.
    }
  }

  async close(clock: Clock): Promise<void> {
    this.#child.stdin.end()
    using limit = deadline(clock, END_MS, 'the end of virsh')
    limit.signal.addEventListener('abort', () => this.#kill(), { once: true })
    await this.#closed.promise
  }
}

/** What virsh complained of, in one line. */
function errorsIn(text: string): string {
  return text.split('\n').filter((line) => line.trim() !== '' && !NO_ERRORS.test(line))
    .map((line) => line.replace(/^error: /, '').trim()).join('; ')
}

/** Named as a command, so that virsh repeats it on standard error. */
function unknownCommand(digits: string): string {
  return `sp_${digits}`
}

/**
 * Takes off what virsh shows besides the output: prompts, and where it was built with readline the
 * lines that it was given. A long one is shown in pieces, each written over the one before.
 */
function withoutPrompts(output: string, digits: string): string {
  const start = /^\s*virsh [#>] /.exec(output)?.[0].length ?? 0
  const end = output.lastIndexOf(`virsh # ${unknownCommand(digits)}`)
  return end === -1 ? output.slice(start).replace(/(?:virsh [#>] )+$/, '')
    : output.slice(output.indexOf('\n', start) + 1, end)
}

/** In single quotes nothing but the quote itself means anything to virsh. */
function quoted(word: string): string {
  if (printable(word, Infinity) !== word) {
    throw new Fault('platform-refused',
      `libvirt cannot be given a word with characters that nobody can see: ${
      printable(word, 100)}`)
  }
  return /^[\w.:/=-]+$/.test(word) ? word : `'${word.replaceAll('\'', `'\\''`)}'`
}

/** Where a session's daemon and its socket are, by the XDG Base Directory Specification. */
const SESSION = ['XDG_RUNTIME_DIR', 'XDG_CONFIG_HOME', 'XDG_CACHE_HOME']

/** Plain messages, what ssh needs, and no history: commands hold what is written in guests. */
function environment(uri: string): Record<string, string> {
  const isOwn = isSession(uri)
  return {
    ...quietEnvironment(isOwn ? SESSION : ['SSH_AUTH_SOCK']),
    ...(isOwn ? {} : { XDG_CACHE_HOME: '/dev/null' }),
    LC_ALL: 'C.UTF-8', TERM: 'dumb', INPUTRC: '/dev/null',
  }
}

function refusal(said: string): Fault {
  const words = printable(said, 600)
  if (/Domain not found|failed to get domain|no domain with matching/.test(said)) {
    return new Fault('machine-not-found', `libvirt knows no such machine: ${words}`)
  }
  if (/onnection (?:broken|closed|reset)|client socket is closed|keepalive/.test(said)) {
    return new Fault('platform-unreachable', `the connection to libvirt broke: ${words}`, {
      retry: 'later', advice: 'Check that libvirtd runs.' })
  }
  return new Fault('platform-refused', `libvirt refused: ${words}`)
}

function unreachable(uri: string, errors: string): Fault {
  const said = printable(errorsIn(errors), 400)
  const isDenied = /[Pp]ermission denied|authentication|access denied/.test(said)
  return new Fault('platform-unreachable',
    `libvirt at ${printable(uri, 200)} cannot be reached${said === '' ? '' : `: ${said}`}`, {
      retry: 'later', advice: isDenied
        ? 'Run as root or as a member of the group libvirt (usermod -aG libvirt USER, and log in ' +
          'again).'
        : `Check that libvirtd runs, and that this works: virsh -c ${printable(uri, 200)} list` })
}
