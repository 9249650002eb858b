/** Runs the program and other tools as a person would type them, and shows what they print. */

import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { reasonOf, throwIfAborted } from '../base/clock.ts'
import { Fault } from '../base/fault.ts'
import { printable } from '../base/text.ts'
import type { Story } from './story.ts'

export interface Shell {
  /** All commands run here, so that their paths are short. */
  readonly folder: string
  readonly env: Readonly<Record<string, string>>
  readonly story: Story
}

/** Longest output that is kept; more ends the command. */
const MAX_OUTPUT_CHARS = 16 * 1024 * 1024

/** `bin/stillpoint` of the checkout or package that this file is part of. */
export function stillpointProgram(): string {
  const places = ['../../bin/stillpoint', '../../../bin/stillpoint']
    .map((place) => fileURLToPath(new URL(place, import.meta.url)))
  const found = places.find((place) => existsSync(place))
  if (found === undefined) throw new Fault('not-found', 'bin/stillpoint is missing')
  return found
}

/**
 * Shows and runs `stillpoint` with `args`; returns its stdout. `silent` keeps the output, not the
 * command, from being shown. Faults: `program-failed` for any exit code but 0.
 */
export function stillpoint(
  shell: Shell, args: readonly string[], options: { readonly silent?: boolean },
  signal: AbortSignal): Promise<string> {
  return run(shell, stillpointProgram(), 'stillpoint', args, options, signal)
}

/** The same for any program of this host. */
export function command(
  shell: Shell, program: string, args: readonly string[], signal: AbortSignal): Promise<string> {
  return run(shell, program, program, args, {}, signal)
}

async function run(
  { folder, env, story }: Shell, program: string, shown: string, args: readonly string[],
  { silent = false }: { readonly silent?: boolean }, signal: AbortSignal): Promise<string> {
  throwIfAborted(signal)
  story.say(`$ ${[shown, ...args.map(quoted)].join(' ')}`)
  const child = spawn(program, args, { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] })
  const exit = new Promise<number | string>((resolve, reject) => {
    child.once('error', (cause) => reject(
      new Fault('program-missing', `${shown} cannot be started`, { cause })))
    child.once('close', (code, killedBy) => resolve(code ?? killedBy ?? 'unknown'))
  })
  const onAbort = (): void => { child.kill('SIGTERM') }
  signal.addEventListener('abort', onAbort, { once: true })
  let stdout = ''
  createInterface({ input: child.stdout }).on('line', (line) => {
    stdout += `${line}\n`
    if (stdout.length > MAX_OUTPUT_CHARS) child.kill('SIGKILL')
    if (!silent) story.quote(line)
  })
  createInterface({ input: child.stderr }).on('line', (line) => story.quote(line))
  try {
    const code = await exit
    if (signal.aborted) throw reasonOf(signal)
    if (code !== 0) {
      throw new Fault('program-failed', `${shown} ${args[0] ?? ''} ended with ${code}`)
    }
    return stdout
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

/** As a POSIX shell would need it. */
function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${printable(word).replaceAll("'", `'\\''`)}'`
}
