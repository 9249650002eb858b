/** The files that a start of Redis would read, brought to disk from outside the server. */

import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { Fault } from '../../base/fault.ts'
import { readSmallFile } from '../small-file.ts'
import type { RedisSettings } from './questions.ts'

/** A base, the current part, and what failed rewrites left: single digits. */
const MAX_PARTS = 64
const MAX_MANIFEST_BYTES = 64 * 1024

/**
 * What the operating system still keeps of these files in memory is on disk afterwards (fsync(2)
 * goes by file, whoever wrote it), and so are their names. Fault: `writer-failed`.
 */
export async function syncFiles(settings: RedisSettings): Promise<number> {
  try {
    const paths = settings.persistence === 'aof'
      ? await aofFiles(settings)
      : [join(settings.folder, settings.rdbFile), settings.folder]
    for (const path of paths) {
      await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
      await file.sync()
    }
    return paths.length
  } catch (cause) {
    throw new Fault('writer-failed', 'the files of Redis could not be brought to disk', {
      cause, retry: 'now',
      advice: 'Run the agent as root: it must be able to open the append-only file.' })
  }
}

/** The log's parts as its manifest lists them, then the manifest and its folder. */
async function aofFiles({ folder, aofFile, aofFolder }: RedisSettings): Promise<readonly string[]> {
  if (aofFolder === undefined) return [join(folder, aofFile), folder]
  const parts = join(folder, aofFolder)
  const manifest = join(parts, `${aofFile}.manifest`)
  return [
    ...parseManifest(await readSmallFile(manifest, MAX_MANIFEST_BYTES))
      .map((name) => join(parts, name)),
    manifest, parts, folder,
  ]
}

/**
 * The names in a manifest: `file appendonly.aof.1.incr.aof seq 1 type i`. Type `h` is history,
 * which no start reads. Fault: `writer-failed`.
 */
export function parseManifest(text: string): readonly string[] {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  if (lines.length > MAX_PARTS) throw new Fault('writer-failed', 'the manifest is too long')
  return lines.flatMap((line) => {
    const [, name, type] = /^file ([^\s"'/]{1,255}) seq \d{1,18} type ([bih])$/.exec(line) ?? []
    if (name === undefined || name === '.' || name === '..') {
      throw new Fault('writer-failed', 'the manifest of the append-only file is not understood')
    }
    return type === 'h' ? [] : [name]
  })
}
