/** Scripts for diskshadow.exe (Microsoft, "diskshadow" and its commands). Pure. */

import { Fault } from '../../../base/fault.ts'
import { printable } from '../../../base/text.ts'
import { ATTRIBUTE, type BackupSetup } from '../session/transport.ts'

export interface ScriptRequest {
  readonly setup: BackupSetup
  /** In the order of their aliases: the first is `SP1`. */
  readonly volumes: readonly string[]
  /** Ids of writers without which there is to be no set. */
  readonly required: readonly string[]
  /** The cabinet for the documents, and the command that holds the set while it is read. */
  readonly cabinet: string
  readonly holder: string
}

/** The alias of a volume, by its place in the list. */
export function aliasOf(at: number): string {
  return `SP${at + 1}`
}

/** Lists all writers with their states. */
export const LIST_SCRIPT = 'list writers status\r\nexit\r\n'

/**
 * Makes the set and holds it until the holder ends. A holder that ends with an error makes
 * diskshadow quit there, so that `end backup` is never reached and nothing is truncated. A volatile
 * set ends with diskshadow. `begin backup` would make a copy a full backup.
 */
export function snapshotScript(
  { setup, volumes, required, cabinet, holder }: ScriptRequest): string {
  const noWriters = (setup.context & ATTRIBUTE.NO_WRITERS) !== 0
  const isFull = setup.backupType === 'full'
  return [
    `set context volatile${noWriters ? ' nowriters' : ''}`,
    `set metadata ${quoted(cabinet)}`,
    'set verbose on',
    ...isFull ? ['begin backup'] : [],
    ...required.map((writerId) => `writer verify {${writerId}}`),
    ...volumes.map((volume, at) => `add volume ${checkedVolume(volume)} alias ${aliasOf(at)}`),
    'create',
    ...noWriters ? [] : ['list writers status'],
    `exec ${quoted(holder)}`,
    ...isFull ? ['end backup'] : [],
    'exit', '',
  ].join('\r\n')
}

/** Nothing that a script could take for more than a volume. */
function checkedVolume(volume: string): string {
  if (/^([A-Za-z]:\\|\\\\\?\\Volume\{[0-9a-f-]{36}\}\\)$/i.test(volume)) return volume
  throw new Fault('usage', `diskshadow cannot be given the volume ${printable(volume, 100)}`, {
    advice: 'Name a drive (C:\\) or a volume by its GUID.' })
}

function quoted(path: string): string {
  if (!/["\r\n%]/.test(path)) return `"${path}"`
  throw new Fault('usage', `diskshadow cannot be given the path ${printable(path, 200)}`)
}
