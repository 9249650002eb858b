/** What `--on hyperv:` says. The host is always this one. */

import { Fault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'

export interface HypervOptions {
  /** The PowerShell to run; default Windows' own. */
  readonly powershell?: string
  /** Where it is kept since when changes are known. */
  readonly stateDir?: string
  /** Of a Windows: its applications may truncate their logs after a backup. Default no. */
  readonly acceptLogTruncation?: boolean
}

/** Windows PowerShell 5.1, which every Windows has, by its name in the search path. */
export const DEFAULT_POWERSHELL = 'powershell.exe'

const KEYS: ReadonlyMap<string, 'powershell' | 'stateDir'> = new Map([
  ['powershell', 'powershell'], ['state', 'stateDir']])

/**
 * Parses what follows `hyperv:`: `[powershell=PATH][,state=DIR]`. A comma inside a value is written
 * twice. Fault: `usage`.
 */
export function parseHypervTarget(text: string): HypervOptions {
  const found: { powershell?: string; stateDir?: string } = {}
  if (text === '') return found
  for (const part of text.replaceAll(',,', '\u0000').split(',')) {
    const [key = '', ...rest] = part.split('=')
    const value = rest.join('=').replaceAll('\u0000', ',')
    const name = KEYS.get(key)
    if (name === undefined || value === '') {
      throw usage(`"${printable(key, 64)}" is not understood`)
    }
    if (found[name] !== undefined) throw usage(`${key}= is given twice`)
    found[name] = value
  }
  return found
}

function usage(what: string): Fault {
  return new Fault('usage', `Hyper-V cannot be asked: ${what}`, {
    advice: 'Write hyperv: alone, on the Hyper-V host, or hyperv:powershell=pwsh.exe.' })
}
