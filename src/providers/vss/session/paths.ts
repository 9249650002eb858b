/** On which volume a path of Windows lies. Pure: the mount points are given. */

import type { VolumeOfPath } from './selection.ts'

export interface HostPaths {
  /**
   * Where volumes are mounted, with a backslash at the end, and their names:
   * `C:\` → `\\?\Volume{…}\`, `C:\data\` → another.
   */
  readonly mounts: ReadonlyMap<string, string>
  /** The variables that paths in writers' documents may name: `SystemRoot` → `C:\Windows`. */
  readonly environment: ReadonlyMap<string, string>
}

/** As deep as variables may name others. */
const MAX_EXPANSIONS = 8

/** Answers for one host; a path that cannot be told is `unknown`, never guessed. */
export function volumesOfHost({ mounts, environment }: HostPaths): VolumeOfPath {
  const places = [...mounts].map(([at, volume]) => ({ at: normalPath(at), volume }))
    .toSorted((a, b) => b.at.length - a.at.length)
  const variables = variablesOf(environment)
  return (path) => {
    const expanded = expandPath(path, variables)
    if (expanded === undefined) return { unknown: 'a variable in it is not known' }
    const place = normalPath(expanded)
    if (place.split('\\').includes('..')) return { unknown: 'it leads upwards' }
    const found = places.find(({ at, volume }) =>
      place.startsWith(at) || place.startsWith(normalPath(volume)))
    if (found !== undefined) return { volume: found.volume }
    if (/^\\\\[^?.\\]/.test(place)) return { elsewhere: 'it is a share of a network' }
    return { unknown: 'no volume of this host is mounted there' }
  }
}

/** Lower case, single backslashes, one at the end; the prefix of long paths is taken off. */
export function normalPath(path: string): string {
  const plain = path.replaceAll('/', '\\').toLowerCase()
    .replace(/^\\\\[?.]\\unc\\/, '\\\\').replace(/^\\\\[?.]\\(?=[a-z]:)/, '')
    .replace(/(?<=[^\\])\\{2,}/g, '\\')
  return plain.endsWith('\\') ? plain : `${plain}\\`
}

/** Variables by their names in lower case, as `expandPath` wants them. */
export function variablesOf(
  environment: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  return new Map([...environment].map(([name, value]) => [name.toLowerCase(), value]))
}

/** `variables`: by their names in lower case. Undefined where one in it is not known. */
export function expandPath(
  path: string, variables: ReadonlyMap<string, string>): string | undefined {
  let text = path
  for (let round = 0; round < MAX_EXPANSIONS; round++) {
    if (!text.includes('%')) return text
    const names = [...text.matchAll(/%([^%\\]+)%/g)].map(([, name]) => name?.toLowerCase() ?? '')
    if (names.length === 0) return text // a per cent sign may be part of a name
    if (names.some((name) => !variables.has(name))) return undefined
    text = text.replaceAll(/%([^%\\]+)%/g, (_all, name: string) =>
      variables.get(name.toLowerCase()) ?? '')
    if (text.length > MAX_PATH) return undefined
  }
  return undefined
}

const MAX_PATH = 32_767
