/**
 * Folders of a Windows, for a look through them. What is reached by a reparse point (a link, a
 * junction, another volume, a file that lies in a cloud) is neither file nor folder to Node.
 */

import { opendir, realpath } from 'node:fs/promises'
import { relative } from 'node:path'
import type { Folders } from './look.ts'

/** What Windows and programs make anew, by the name of the folder. */
const SKIPPED_NAMES = new Set([
  '.cache', '.git', '$recycle.bin', '$winreagent', 'inetcache', 'node_modules', 'package cache',
  'recovery', 'system volume information', 'windowsapps',
])
/** The same by the end of its path. */
const SKIPPED_ENDS: readonly RegExp[] = [
  /[\\/]appdata[\\/]local[\\/]temp$/, /[\\/]programdata[\\/]microsoft$/,
]

export function windowsFolders(systemFolder: string): Folders {
  return {
    entries: async function * (path) {
      const folder = await opendir(path, { bufferSize: 256 })
      if (relative(await realpath(path), path) !== '') {
        await folder.close()
        throw new Error('a link was put on the way meanwhile')
      }
      yield * folder
    },
    isLeftOut: (path, name) => SKIPPED_NAMES.has(name.toLowerCase()) ||
      relative(systemFolder, path) === '' ||
      SKIPPED_ENDS.some((end) => end.test(path.toLowerCase())),
  }
}
