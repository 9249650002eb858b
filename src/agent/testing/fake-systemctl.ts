/** What systemd makes of the files under a root, in one file there: which program it runs. */

import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { InstallParts } from '../install/install.ts'

const UNIT = 'etc/systemd/system/stillpoint-agent.service'
const WANTED = 'etc/systemd/system/multi-user.target.wants/stillpoint-agent.service'

interface State {
  /** What the unit said at the last reload. */
  readonly loaded: string
  /** The text of the program that runs; null: none. */
  readonly running: string | null
  readonly journal: readonly string[]
}

export function readState(root: string): State {
  const path = join(root, 'state.json')
  return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) as State
    : { loaded: '', running: null, journal: [] }
}

/** Refuses what systemd would: to start what was not loaded. */
export function fakeSystemctl(root: string): InstallParts['systemctl'] {
  return async ([verb = '']) => {
    const { loaded, running, journal } = readState(root)
    const unit = textAt(root, UNIT)
    const become = (change: Partial<State>): void => writeFileSync(join(root, 'state.json'),
      JSON.stringify({ loaded, running, journal: [...journal, verb], ...change }))
    if (verb === 'show') return loaded !== '' && loaded !== unit ? 'yes\n' : 'no\n'
    if (verb === 'daemon-reload') become({ loaded: unit })
    else if (verb === 'stop') become({ running: null })
    else if (loaded === '') throw new Error(`${verb}: unit not found`)
    else if (verb === 'restart' || running === null) become({ running: programOf(root, loaded) })
    return ''
  }
}

/** What would run after the next start of the system: the text of the program, or null. */
export function afterBoot(root: string): string | null {
  return existsSync(join(root, WANTED)) ? programOf(root, textAt(root, UNIT)) : null
}

function programOf(root: string, unit: string): string | null {
  const path = /^ExecStart=(\S+)/m.exec(unit)?.[1]
  return path === undefined ? null : textAt(root, path)
}

function textAt(root: string, path: string): string {
  const full = join(root, path)
  return existsSync(full) ? readFileSync(full, 'utf8') : ''
}
