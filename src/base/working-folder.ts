/**
 * A folder for one piece of work in the system's folder for such. It is named after the process
 * that made it, so that the next run removes what a killed one left, and ends what still serves it.
 */

import { lstat, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { MARK, markedProcess, processMark } from './process-mark.ts'

/** What a folder is for. */
export type FolderPurpose = 'nbd' | 'sqlite' | 'vddk'

export interface WorkingFolder extends AsyncDisposable {
  readonly path: string
}

/**
 * Makes one that this user alone may enter, and first removes those of the same purpose that killed
 * runs left. Dispose it: that removes it and all that is in it.
 */
export async function workingFolder(purpose: FolderPurpose): Promise<WorkingFolder> {
  await sweepWorkingFolders(purpose)
  const path = await mkdtemp(join(tmpdir(), `stillpoint-${purpose}-${processMark()}-`))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) }
}

/**
 * Removes this user's folders whose process is gone, and ends programs that still serve one.
 * Resolves with a sentence for each.
 */
export async function sweepWorkingFolders(purpose: FolderPurpose): Promise<readonly string[]> {
  const ours = new RegExp(`^stillpoint-${purpose}-(${MARK})-\\w{6}$`)
  const swept: string[] = []
  for (const name of await readdir(tmpdir()).catch(() => [])) {
    const [, mark] = ours.exec(name) ?? []
    if (mark === undefined || markedProcess(mark) !== 'gone') continue
    const path = join(tmpdir(), name)
    const found = await lstat(path).catch(() => undefined)
    if (found?.isDirectory() !== true || found.uid !== process.getuid?.()) continue
    const ended = await endServersOf(path)
    await rm(path, { recursive: true, force: true, maxRetries: 3 })
    const also = ended.length === 0 ? '' : ` and ended its ${ended.join(', ')}`
    swept.push(`removed ${path}${also}, which a run that was killed had left`)
  }
  return swept
}

/** Where a program serves what is in the folder: its path is given to that program alone. */
export function socketIn(folder: string): string {
  return join(folder, 'nbd.sock')
}

/**
 * Ends programs that were told to serve the folder's very socket: they end with their parent or
 * their client as a rule, unless they had neither yet, or hang. Resolves with their names.
 */
export async function endServersOf(folder: string): Promise<readonly string[]> {
  const ended: string[] = []
  for (const pid of (await readdir('/proc').catch(() => [])).filter((it) => /^\d+$/.test(it))) {
    const [program = '', ...args] =
      (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0')
    if (!args.some((arg) => arg.endsWith(socketIn(folder)))) continue
    try {
      process.kill(Number(pid), 'SIGKILL')
      ended.push(basename(program))
    } catch { // it has ended meanwhile
    }
  }
  return ended
}
