/**
 * Which files of a host are left out on the operator's word: patterns, and the lists that programs
 * keep in the registry. Pure, but for asking for these.
 *
 * Shapes (Microsoft: "Excluding Files from Shadow Copies"; "FilesNotToBackup" of Windows Server
 * 2003): `[drive]path\\name [/s]` with `%VARIABLES%`, `*` in names, and for shadow copies
 * `$UserProfile$` and `$AllVolumes$`. Values of FilesNotToBackup that are called as a writer of the
 * backup do not count ("Generating a Backup Set").
 */

import { fitsWildcard } from '../../base/wildcard.ts'
import type { FilePattern } from '../../disk/mod.ts'
import type { RegistryValue } from './registry.ts'
import { expandPath, variablesOf } from './session/paths.ts'

export type LeaveOutList = 'files-not-to-snapshot' | 'files-not-to-backup'

const KEYS: Readonly<Record<LeaveOutList, string>> = {
  'files-not-to-snapshot': 'FilesNotToSnapshot', 'files-not-to-backup': 'FilesNotToBackup' }
const BACKUP_RESTORE = 'HKLM\\SYSTEM\\CurrentControlSet\\Control\\BackupRestore'
const PROFILES = 'HKLM\\SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\ProfileList'
const MAX_PATTERNS = 5000

/** A pattern of this host: on which volumes it means is seen from its path. */
export interface HostPattern {
  readonly entry: string
  /** `C:\\folder\\*.tmp`, or `\\folder\\*.tmp` on every volume. */
  readonly path: string
  readonly recursive: boolean
  /** The value of FilesNotToBackup that it stands in. */
  readonly value?: string
}

export interface LeaveOutPatterns {
  readonly patterns: readonly HostPattern[]
  readonly notUnderstood: readonly { readonly entry: string; readonly why: string }[]
}

export interface LeaveOutPorts {
  registry(key: string, below: boolean, signal: AbortSignal): Promise<readonly RegistryValue[]>
  readonly environment: ReadonlyMap<string, string>
}

export function isLeaveOutList(word: string): word is LeaveOutList {
  return Object.hasOwn(KEYS, word)
}

/** Throws an Error that says what is wrong with the word. */
export function checkLeaveOut(word: string): string {
  if (isLeaveOutList(word)) return word
  if (!word.includes('\\')) {
    throw new Error('is neither files-not-to-snapshot nor files-not-to-backup, nor a path')
  }
  const found = patternsOf(word, new Map(), [])
  // Variables are known where the backup runs.
  if ('why' in found && !word.includes('%')) throw new Error(`cannot be left out: ${found.why}`)
  return word
}

/** `words`: names of lists, or patterns. Faults: those of asking the registry. */
export async function readLeaveOut(
  words: readonly string[], ports: LeaveOutPorts, signal: AbortSignal,
): Promise<LeaveOutPatterns> {
  const { environment } = ports
  const variables = variablesOf(environment)
  const patterns: HostPattern[] = []
  const notUnderstood: { entry: string; why: string }[] = []
  let profiles: readonly string[] | undefined
  const take = async (entry: string, more: Pick<HostPattern, 'value'> = {}): Promise<void> => {
    if (/^\$UserProfile\$/i.test(entry)) {
      profiles ??= profilesOf(await ports.registry(PROFILES, true, signal), variables)
    }
    const read = patternsOf(entry, variables, profiles ?? [])
    if ('why' in read) notUnderstood.push({ entry, why: read.why })
    else patterns.push(...read.patterns.map((it) => ({ ...it, ...more })))
  }
  for (const word of words) {
    if (!isLeaveOutList(word)) {
      await take(word)
      continue
    }
    const key = `${BACKUP_RESTORE}\\${KEYS[word]}`
    for (const value of await ports.registry(key, false, signal)) {
      for (const entry of entriesOf(value)) {
        if (!/^[\x20-\x3e\x40-\x7e]*$/.test(entry)) {
          notUnderstood.push({ entry, why: 'letters of it may be lost' })
        } else await take(entry, word === 'files-not-to-backup' ? { value: value.name } : {})
      }
    }
  }
  return { patterns: patterns.slice(0, MAX_PATTERNS), notUnderstood }
}

/** `\\0` may also be part of a path: then not all of its pieces begin as one. */
function entriesOf({ type, text, separator }: RegistryValue): readonly string[] {
  if (type !== 'REG_MULTI_SZ') return []
  const entries = text.split(separator).filter((entry) => entry !== '')
  return entries.every((entry) => /^([a-z]:\\|\\|%|\$)/i.test(entry)) ? entries : [text]
}

/** What one entry means. */
export function patternsOf(
  entry: string, variables: ReadonlyMap<string, string>, profiles: readonly string[],
): { readonly patterns: readonly HostPattern[] } | { readonly why: string } {
  const recursive = /\s\/s\s*$/i.test(entry)
  const text = entry.replace(/\s\/s\s*$/i, '').trim()
  const [, start = '', rest = ''] = /^(\$(?:UserProfile|AllVolumes)\$)(.*)$/i.exec(text) ?? []
  const begins = start === '' ? [text]
    : /^\$U/i.test(start) ? profiles.map((profile) => `${profile}${rest}`) : [rest]
  const patterns: HostPattern[] = []
  for (const begin of begins) {
    const path = expandPath(begin.replaceAll('/', '\\'), variables)
    if (path === undefined) return { why: 'a variable in it is not known' }
    const why = whyNot(path)
    if (why !== undefined) return { why }
    patterns.push({ entry, path, recursive })
  }
  return { patterns }
}

function whyNot(path: string): string | undefined {
  if (/[?<>"|]|\p{Cc}|.:.*:|^[^:]{2,}:/u.test(path)) return 'it holds what no path has'
  if (!/^(?:[a-z]:)?\\[^\\]/i.test(path)) return 'it is no absolute path'
  const names = namesOf(path.replace(/^[a-z]:/i, ''))
  if (path.endsWith('\\')) return 'it names no file'
  if (names.some((name) => name === '..' || name === '.')) return 'it leads elsewhere'
  if (names.every((name) => fitsWildcard('any name', name))) return 'it names all of a volume'
  return undefined
}

function namesOf(path: string): readonly string[] {
  return path.split('\\').filter((name) => name !== '')
}

function profilesOf(
  values: readonly RegistryValue[], variables: ReadonlyMap<string, string>): readonly string[] {
  return values.flatMap(({ name, text }) =>
    name.toLowerCase() === 'profileimagepath' ? expandPath(text, variables) ?? [] : [])
    .filter((path) => /^[a-z]:\\[^?*]+$/i.test(path) && whyNot(path) === undefined)
}

/** Those on a volume that is mounted at `mounts`, without those of the writers that took part. */
export function patternsOn(
  mounts: readonly string[], patterns: readonly HostPattern[], writers: readonly string[],
): readonly FilePattern[] {
  const own = new Set(writers.map((name) => name.toLowerCase()))
  return patterns.flatMap(({ entry, path, recursive, value }) => {
    if (value !== undefined && own.has(value.toLowerCase())) return []
    const mount = mounts.find((it) => path.toLowerCase().startsWith(it.toLowerCase()))
    if (!path.startsWith('\\') && mount === undefined) return []
    const names = namesOf(path.slice(path.startsWith('\\') ? 0 : mount?.length))
    const name = names.at(-1)
    if (name === undefined) return []
    return [{ entry, folders: names.slice(0, -1), name, recursive }]
  })
}
