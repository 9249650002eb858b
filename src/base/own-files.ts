/** Files and folders that nobody else on this host may use. */

import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Others } from './access-list.ts'
import { isFault } from './fault.ts'
import { windowsSecurity } from './windows-security.ts'

/**
 * With those above it that are not there yet. Those that are there stay as they are. Faults:
 * `io-error`, `unsupported`, what Node says.
 */
export async function makeOwnFolder(path: string): Promise<void> {
  if (process.platform !== 'win32') {
    await mkdir(path, { recursive: true, mode: 0o700 })
    return
  }
  const missing: string[] = []
  for (let at = path; !existsSync(at) && dirname(at) !== at; at = dirname(at)) missing.unshift(at)
  if (missing.length === 0) return
  const security = await windowsSecurity()
  for (const folder of missing) security.makeClosedFolder(folder)
}

/**
 * What Windows says; undefined elsewhere, where `stat` does, and where it cannot be asked, for want
 * of koffi. Fault: `io-error`.
 */
export async function othersOf(path: string): Promise<Others | undefined> {
  if (process.platform !== 'win32') return undefined
  const security = await windowsSecurity().catch((error: unknown) => {
    if (isFault(error, 'unsupported')) return undefined
    throw error
  })
  return security?.othersOf(path)
}

/** On Windows, where a mode says nothing: takes the rights of others to the file away. */
export async function closeToOthers(path: string): Promise<void> {
  if (process.platform === 'win32') (await windowsSecurity()).close(path)
}

/** What an administrator types for the same, in a shell of Windows; SIDs are not translated. */
export function closingCommand(path: string): string {
  const [administrators, system] = ['*S-1-5-32-544', '*S-1-5-18']
  return `icacls "${path}" /setowner ${administrators} && icacls "${path}" /inheritance:r ` +
    `/grant:r ${administrators}:F ${system}:F`
}
