/** The unix sockets that a process listens on (proc(5): `fd`, `net/unix`). */

import { readdir, readlink } from 'node:fs/promises'
import { resolve } from 'node:path'
import { Fault } from '../base/fault.ts'
import { readSmallFile } from './small-file.ts'

const MAX_TABLE_BYTES = 16 * 1024 * 1024
const MAX_DESCRIPTORS = 100_000
/** `__SO_ACCEPTCON` of the kernel's `include/uapi/linux/net.h`: the socket listens. */
const LISTENS = 0x10000

/** Absolute paths, in the order of the kernel's table. Fault: `writer-failed`. */
export async function listeningSockets(
  procRoot: string, pid: number, cwd: string): Promise<readonly string[]> {
  const folder = `${procRoot}/${pid}`
  try {
    const descriptors = (await readdir(`${folder}/fd`)).slice(0, MAX_DESCRIPTORS)
    const own = new Set<string>()
    for (const name of descriptors) {
      const target = await readlink(`${folder}/fd/${name}`).catch(() => '') // closed meanwhile
      const inode = /^socket:\[(\d+)\]$/.exec(target)?.[1]
      if (inode !== undefined) own.add(inode)
    }
    const table = await readSmallFile(`${folder}/net/unix`, MAX_TABLE_BYTES)
    return table.split('\n').flatMap((line) => {
      const [, flags, inode, path] =
        /^\w+: \w+ \w+ (\w+) \w+ \w+ +(\d+) (.+)$/.exec(line) ?? []
      if (flags === undefined || inode === undefined || path === undefined) return []
      const listens = (Number.parseInt(flags, 16) & LISTENS) !== 0
      return listens && own.has(inode) && !path.startsWith('@') ? [resolve(cwd, path)] : []
    })
  } catch (cause) {
    throw new Fault('writer-failed', `the sockets of process ${pid} cannot be looked up`, {
      cause, advice: 'Run the agent as root: it must see the sockets of the servers it asks.' })
  }
}
