/** Finds and reads the configuration file. */

import { open } from 'node:fs/promises'
import { resolve } from 'node:path'
import { Fault } from '../base/fault.ts'
import { closingCommand, othersOf } from '../base/own-files.ts'
import { printable } from '../base/text.ts'
import { NO_CONFIG, parseConfig, type Config } from './config.ts'
import { MAX_CONFIG_BYTES } from '../base/config-text.ts'

export interface ConfigPlaces {
  /** `--config`; a file that must be there. */
  readonly named: string | undefined
  /** `$STILLPOINT_CONFIG`; a file that must be there. */
  readonly fromEnvironment: string | undefined
  /** Where `stillpoint.yaml` is looked for first. */
  readonly workingDir: string
  /** The folder of what holds for all of the host, where it is looked for last. */
  readonly system: string
}

/**
 * The configuration of the first place that has one: named, environment, working folder, system.
 * A file that was not named must not be another user's: it can hold a command to run.
 * Faults: `not-found` for a named file, `config-invalid`, `io-error`.
 */
export async function loadConfig(places: ConfigPlaces): Promise<Config> {
  const { named, fromEnvironment, workingDir, system } = places
  const wanted = named ?? fromEnvironment
  if (wanted !== undefined && wanted !== '') {
    const found = await readConfig(resolve(workingDir, wanted), 'named')
    if (found !== undefined) return found
    throw new Fault('not-found', `the configuration file ${wanted} does not exist`, {
      advice: named === undefined ? 'See $STILLPOINT_CONFIG.' : 'See --config.' })
  }
  for (const file of [workingDir, system].map((folder) => resolve(folder, 'stillpoint.yaml'))) {
    const found = await readConfig(file, 'found')
    if (found !== undefined) return found
  }
  return NO_CONFIG
}

async function readConfig(path: string, how: 'named' | 'found'): Promise<Config | undefined> {
  try {
    await using file = await open(path, 'r')
    const { size, mode, uid } = await file.stat()
    if (size > MAX_CONFIG_BYTES) {
      throw new Fault('config-invalid',
        `${path} has ${size} bytes, more than the ${MAX_CONFIG_BYTES} allowed`)
    }
    if (process.platform === 'win32') await checkAccess(path, how)
    else checkOwner(path, { mode, uid }, how)
    return parseConfig(await file.readFile('utf8'), path)
  } catch (error) {
    if (error instanceof Fault) throw error
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw new Fault('io-error', `${path} cannot be read`, { cause: error })
  }
}

/** Everyone, Authenticated Users, Users, Interactive, and all that may not be told apart. */
const EVERY_USER: ReadonlySet<string> = new Set(['WD', 'AU', 'BU', 'IU', 'everybody'])

/** On Windows: a mode says nothing there. */
async function checkAccess(path: string, how: 'named' | 'found'): Promise<void> {
  const others = await othersOf(path)
  if (others === undefined && how === 'found') {
    throw new Fault('config-invalid', `whose ${printable(path)} is cannot be seen here, so it is ` +
      'not believed', { advice: 'Name it with --config if you trust its owner.' })
  }
  const { mayWrite } = others ?? { mayWrite: [] }
  const [other] = how === 'found' ? mayWrite : mayWrite.filter((it) => EVERY_USER.has(it))
  if (other === undefined) return
  throw new Fault('config-invalid', `${printable(path)} may be changed by others of this host (${
    printable(other, 100)}), so it is not believed`, {
    advice: `Take that right away: ${closingCommand(printable(path))}` })
}

function checkOwner(
  path: string, { mode, uid }: { mode: number; uid: number }, how: 'named' | 'found'): void {
  const user = process.getuid?.()
  if ((mode & 0o002) !== 0) {
    throw new Fault('config-invalid', `${path} may be changed by every user of this host`, {
      advice: `Take that right away: chmod o-w ${path}` })
  }
  if (how === 'found' && uid !== 0 && uid !== user) {
    throw new Fault('config-invalid', `${path} belongs to another user, so it is not believed`, {
      advice: 'Name it with --config if you trust its owner.' })
  }
}
