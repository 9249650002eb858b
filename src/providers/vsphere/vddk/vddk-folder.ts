/**
 * The folder of an nbdkit: its socket and its process id, nothing secret. It is named after the
 * process that made it, so that the next run removes what a killed one left.
 */

import { lstat, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MARK, markedProcess, processMark } from '../../machine/process-mark.ts'
import { socketArgument, type VddkPlaces } from './vddk-options.ts'

const PREFIX = 'stillpoint-vddk-'
const FOLDER = new RegExp(`^${PREFIX}(${MARK})-\\w{6}$`)

export interface VddkFolder extends VddkPlaces {
  readonly path: string
}

/** Makes one that this user alone may enter. The caller removes it. */
export async function makeVddkFolder(): Promise<VddkFolder> {
  return placesIn(await mkdtemp(join(tmpdir(), `${PREFIX}${processMark()}-`)))
}

function placesIn(path: string): VddkFolder {
  return { path, socketPath: join(path, 'nbd.sock'), pidPath: join(path, 'pid') }
}

/**
 * Removes this user's folders whose process is gone, and ends an nbdkit that still serves one: it
 * ends with its parent, unless VDDK keeps it waiting. Resolves with a sentence for each.
 */
export async function sweepVddkFolders(): Promise<readonly string[]> {
  const swept: string[] = []
  for (const name of await readdir(tmpdir()).catch(() => [])) {
    const [, mark] = FOLDER.exec(name) ?? []
    if (mark === undefined || markedProcess(mark) !== 'gone') continue
    const folder = placesIn(join(tmpdir(), name))
    const found = await lstat(folder.path).catch(() => undefined)
    if (found?.isDirectory() !== true || found.uid !== process.getuid?.()) continue
    const ended = await endServersOf(folder)
    await rm(folder.path, { recursive: true, force: true })
    swept.push(`removed ${folder.path}${ended === 0 ? '' : ' and ended its nbdkit'}, ` +
      'which a run that was killed had left')
  }
  return swept
}

/** Programs that were told to serve that very socket, of whose path there is only one. */
async function endServersOf({ socketPath }: VddkPlaces): Promise<number> {
  let ended = 0
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
    if (!command.split('\0').includes(socketArgument(socketPath))) continue
    try {
      process.kill(Number(pid), 'SIGKILL')
      ended++
    } catch { // it has ended meanwhile
    }
  }
  return ended
}
