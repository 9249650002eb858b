/** The repository's location and password, found where users of restic keep them. */

import { open } from 'node:fs/promises'
import { resolve } from 'node:path'
import { deadline } from '../base/clock.ts'
import { Fault } from '../base/fault.ts'
import { runProgram } from '../base/program.ts'
import { Secret } from '../base/secret.ts'
import { printable } from '../base/text.ts'
import type { EngineContext, RepositoryOptions } from './context.ts'
import { splitCommand } from './split-command.ts'

/** A file with a password or a location is a line; more is another file. */
const MAX_FILE_BYTES = 64 * 1024

/** A password manager may have to be unlocked by a person first. */
const COMMAND_LIMIT_MS = 120_000

/**
 * Where the repository is: `--repo`, RESTIC_REPOSITORY, RESTIC_REPOSITORY_FILE, configuration.
 * Faults: `usage` if nothing says so, `io-error`.
 */
export async function findLocation(
  options: RepositoryOptions, context: EngineContext): Promise<string> {
  const { environment, config, workingDir } = context
  if (options.repo !== undefined) return options.repo
  const fromEnvironment = environment['RESTIC_REPOSITORY'] ?? ''
  const file = environment['RESTIC_REPOSITORY_FILE'] ?? ''
  if (fromEnvironment !== '' && file !== '') {
    throw new Fault('usage', 'RESTIC_REPOSITORY and RESTIC_REPOSITORY_FILE are both set', {
      advice: 'Unset one of them.' })
  }
  if (fromEnvironment !== '') return fromEnvironment
  if (file !== '') return readLine(resolve(workingDir, file), 'RESTIC_REPOSITORY_FILE')
  if (config.repository.path !== undefined) return config.repository.path
  throw new Fault('usage', 'it is not said where the repository is', {
    advice: 'Give -r PATH, set RESTIC_REPOSITORY, or set repository.path in stillpoint.yaml.' })
}

/**
 * The repository's password: command line, environment, configuration, in each a command before a
 * file; else the operator is asked, `twice` for a new one.
 * Faults: `usage` if nothing gives one, `io-error`, `program-*`, `interrupted`.
 */
export async function findPassword(
  options: RepositoryOptions, context: EngineContext, ask: 'once' | 'twice', signal: AbortSignal,
): Promise<Secret> {
  const { environment, config, workingDir, askPassword } = context
  for (const { file, command, from } of [
    { file: options.passwordFile, command: options.passwordCommand, from: '--password-…' },
    {
      file: set(environment['RESTIC_PASSWORD_FILE']), from: 'RESTIC_PASSWORD_…',
      command: set(environment['RESTIC_PASSWORD_COMMAND']),
    },
  ]) {
    if (file !== undefined && command !== undefined) {
      throw new Fault('usage', `a password file and a password command are both given (${from})`)
    }
    if (command !== undefined) return fromCommand(command, context, signal)
    if (file !== undefined) return fromFile(resolve(workingDir, file))
  }
  const given = set(environment['RESTIC_PASSWORD'])
  if (given !== undefined) return new Secret(given)
  const { passwordCommand, passwordFile } = config.repository
  if (passwordCommand !== undefined) return fromCommand(passwordCommand, context, signal)
  if (passwordFile !== undefined) return fromFile(passwordFile)
  if (askPassword !== undefined) return fromOperator(askPassword, ask, signal)
  throw new Fault('usage', 'it is not said where the password of the repository is', {
    advice: 'Give --password-file or --password-command, or set RESTIC_PASSWORD_FILE.' })
}

function set(value: string | undefined): string | undefined {
  return value === '' ? undefined : value
}

async function fromFile(path: string): Promise<Secret> {
  return notEmpty(await readLine(path, 'the password file'), `the password file ${path}`)
}

async function fromCommand(
  command: string, context: EngineContext, signal: AbortSignal): Promise<Secret> {
  const [program, ...args] = splitCommand(command)
  if (program === undefined) throw new Fault('usage', 'the password command is empty')
  using limit = deadline(context.clock, COMMAND_LIMIT_MS, 'the password command', signal)
  const { stdout } = await runProgram(program, args, {
    signal: limit.signal, env: context.environment, cwd: context.workingDir,
    maxOutputBytes: MAX_FILE_BYTES,
  })
  return notEmpty(decode(stdout, 'the password command'), 'the password command')
}

async function fromOperator(
  askPassword: NonNullable<EngineContext['askPassword']>, ask: 'once' | 'twice',
  signal: AbortSignal,
): Promise<Secret> {
  if (ask === 'once') {
    const password = await askPassword('password of the repository: ', signal)
    return notEmpty(password.reveal(), 'what was typed')
  }
  const first = await askPassword('password for the new repository: ', signal)
  const checked = notEmpty(first.reveal(), 'what was typed')
  const again = await askPassword('the same password again: ', signal)
  if (first.reveal() !== again.reveal()) {
    throw new Fault('usage', 'the two passwords differ', { advice: 'Run the command again.' })
  }
  return checked
}

function notEmpty(password: string, what: string): Secret {
  if (password !== '') return new Secret(password)
  throw new Fault('usage', `${printable(what)} gives an empty password`)
}

/** The text of a short file without white space round it, as restic reads such files. */
async function readLine(path: string, what: string): Promise<string> {
  try {
    await using file = await open(path, 'r')
    const bytes = new Uint8Array(MAX_FILE_BYTES + 1)
    const { bytesRead } = await file.read(bytes, 0, bytes.length, 0)
    if (bytesRead > MAX_FILE_BYTES) {
      throw new Fault('io-error', `${path} is too long to be ${what}`)
    }
    return decode(bytes.subarray(0, bytesRead), path)
  } catch (cause) {
    if (cause instanceof Fault) throw cause
    throw new Fault('io-error', `${what} ${path} cannot be read`, { cause })
  }
}

function decode(bytes: Uint8Array, what: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes).trim()
  } catch (cause) {
    throw new Fault('io-error', `${what} gives something that is no UTF-8 text`, { cause })
  }
}
