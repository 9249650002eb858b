/** Files that decide what root runs: nobody else may be able to change them. */

import { lstat, readlink } from 'node:fs/promises'
import { basename, dirname, isAbsolute, join } from 'node:path'
import { Fault } from '../base/fault.ts'
import { printable } from '../base/text.ts'

const WRITABLE_BY_OTHERS = 0o022
const STICKY = 0o1000
/** As the kernel's own, path_resolution(7). */
const MAX_LINKS = 40

/**
 * Checks that `path`, absolute, leads to a file that belongs to root or to us and that nobody else
 * may write to, by folders and symbolic links of which the same is true. So it still leads there
 * when it is used. Fault: `config-invalid`.
 */
export async function checkTrustedFile(path: string): Promise<void> {
  const shown = printable(path, 200)
  if (!isAbsolute(path)) throw new Fault('config-invalid', `${shown} is no absolute path`)
  let left = path.split('/')
  let at = '/' // free of links
  let links = 0
  for (;;) {
    const step = await look(at, shown)
    if (step.isLink) {
      if (++links > MAX_LINKS) throw new Fault('config-invalid', `${shown} leads in a circle`)
      const target = await readlink(at)
      left = [...target.split('/'), ...left]
      at = isAbsolute(target) ? '/' : dirname(at)
      continue
    }
    while (left[0] === '' || left[0] === '.') left = left.slice(1)
    const [next, ...rest] = left
    if (next === undefined) {
      if (!step.isFile) throw new Fault('config-invalid', `${shown} is no file`)
      return
    }
    left = rest
    at = next === '..' ? dirname(at) : join(at, next)
  }
}

async function look(at: string, shown: string): Promise<{ isLink: boolean; isFile: boolean }> {
  const found = await lstat(at).catch((cause: unknown) => {
    throw new Fault('config-invalid', `${shown} is not there`, { cause })
  })
  const owners = [0, process.geteuid?.() ?? 0]
  // A link's own mode means nothing; in a folder with the sticky bit only owners replace entries.
  const isShared = !found.isSymbolicLink() && (found.mode & WRITABLE_BY_OTHERS) !== 0 &&
    !(found.isDirectory() && (found.mode & STICKY) !== 0)
  if (isShared || !owners.includes(found.uid)) {
    throw new Fault('config-invalid',
      `${printable(at, 200)} may be changed by others than root, so ${shown} is not used`, {
        advice: `Run: chown root ${printable(basename(at), 60)}; chmod go-w ${
          printable(basename(at), 60)}; in ${printable(dirname(at), 200)}.` })
  }
  return { isLink: found.isSymbolicLink(), isFile: found.isFile() }
}
