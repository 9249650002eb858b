/** Runs other programs: no shell, bounded output, killed with the signal. */

import { spawn } from 'node:child_process'
import { reasonOf } from './clock.ts'
import { Fault } from './fault.ts'
import { printable } from './text.ts'

export interface ProgramOptions {
  readonly signal: AbortSignal
  readonly input?: Uint8Array | string
  readonly cwd?: string
  /** The whole environment; the default keeps PATH and HOME alone and sets LC_ALL=C. */
  readonly env?: Readonly<Record<string, string>>
  /** Bytes kept of each of stdout and stderr; more on stdout is a fault. Default 1 MiB. */
  readonly maxOutputBytes?: number
  /** Exit codes that are no fault; default only 0. */
  readonly okCodes?: readonly number[]
}

export interface ProgramResult {
  readonly code: number
  readonly stdout: Uint8Array
  readonly stderr: string
}

/**
 * Runs `program` to its end. Faults: `program-missing`, `program-failed` (with the last lines of
 * stderr), or the signal's reason; the child is killed (SIGKILL) and reaped before it rejects.
 */
export function runProgram(
  program: string, args: readonly string[], options: ProgramOptions): Promise<ProgramResult> {
  const limit = options.maxOutputBytes ?? 1024 * 1024
  const env = options.env ?? quietEnvironment()
  return new Promise((resolve, reject) => {
    if (options.signal.aborted) return reject(reasonOf(options.signal))
    const child = spawn(program, args, {
      env,
      stdio: ['pipe', 'pipe', 'pipe'],
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    })
    const stdout = collector(limit)
    const stderr = collector(limit)
    let failure: Error | undefined
    const fail = (error: Error): void => {
      failure ??= error
      child.kill('SIGKILL')
    }
    const onAbort = (): void => fail(reasonOf(options.signal))
    options.signal.addEventListener('abort', onAbort, { once: true })
    child.stdout.on('data', (chunk: Buffer) => {
      if (!stdout.add(chunk)) fail(new Fault('program-failed', `${program} printed too much`))
    })
    child.stderr.on('data', (chunk: Buffer) => stderr.add(chunk))
    child.stdin.on('error', () => {}) // a program may end before it has read its input
    child.on('error', (cause: NodeJS.ErrnoException) => {
      failure ??= cause.code === 'ENOENT'
        ? new Fault('program-missing', `${program} is not installed`, { cause })
        : new Fault('program-failed', `${program} could not be started`, { cause })
      if (child.pid === undefined) done(null, null)
    })
    child.on('close', (code, killedBy) => done(code, killedBy))
    const done = (code: number | null, killedBy: NodeJS.Signals | null): void => {
      options.signal.removeEventListener('abort', onAbort)
      const text = stderr.bytes().toString('utf8')
      if (failure !== undefined) reject(failure)
      else if (code !== null && (options.okCodes ?? [0]).includes(code)) {
        resolve({ code, stdout: new Uint8Array(stdout.bytes()), stderr: text })
      } else {
        const last = printable(text.trim().split('\n').slice(-3).join('; '))
        const how = code === null ? `was killed by ${killedBy}` : `ended with exit code ${code}`
        reject(new Fault('program-failed', `${program} ${how}${last === '' ? '' : `: ${last}`}`))
      }
    }
    child.stdin.end(options.input)
  })
}

/**
 * What a program of this host is started with: PATH and HOME alone, and plain messages. `also`
 * names further variables that it needs, passed on where they are set.
 */
export function quietEnvironment(also: readonly string[] = []): Record<string, string> {
  const { PATH = '/usr/sbin:/usr/bin:/sbin:/bin', HOME = '/' } = process.env
  const more = also.flatMap((name) => {
    const value = process.env[name]
    return value === undefined ? [] : [[name, value] as const]
  })
  return { PATH, HOME, LC_ALL: 'C', ...Object.fromEntries(more) }
}

function collector(limit: number): { add: (chunk: Buffer) => boolean; bytes: () => Buffer } {
  const chunks: Buffer[] = []
  let size = 0
  return {
    add: (chunk) => {
      const room = limit - size
      if (room > 0) chunks.push(chunk.subarray(0, room))
      size += Math.min(room, chunk.length)
      return chunk.length <= room
    },
    bytes: () => Buffer.concat(chunks),
  }
}
