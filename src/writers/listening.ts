/** Where a process listens (proc(5): `fd`, `net/unix`, `net/tcp`, `net/tcp6`). */

import { readdir, readlink } from 'node:fs/promises'
import { resolve } from 'node:path'
import { Fault } from '../base/fault.ts'
import { readSmallFile } from './small-file.ts'

const MAX_TABLE_BYTES = 16 * 1024 * 1024
const MAX_DESCRIPTORS = 100_000
/** `__SO_ACCEPTCON` of the kernel's `include/uapi/linux/net.h`: the socket listens. */
const LISTENS = 0x10000

/** `TCP_LISTEN` of the kernel's `include/net/tcp_states.h`, as the table shows it. */
const TCP_LISTENS = '0A'

/** Absolute paths, in the order of the kernel's table. Fault: `writer-failed`. */
export function listeningSockets(
  procRoot: string, pid: number, cwd: string): Promise<readonly string[]> {
  return withOwnSockets(`${procRoot}/${pid}`, pid, async (folder, own) => {
    const table = await readSmallFile(`${folder}/net/unix`, MAX_TABLE_BYTES)
    return table.split('\n').flatMap((line) => {
      const [, flags, inode, path] =
        /^\w+: \w+ \w+ (\w+) \w+ \w+ +(\d+) (.+)$/.exec(line) ?? []
      if (flags === undefined || inode === undefined || path === undefined) return []
      const listens = (Number.parseInt(flags, 16) & LISTENS) !== 0
      return listens && own.has(inode) && !path.startsWith('@') ? [resolve(cwd, path)] : []
    })
  })
}

/**
 * TCP ports that it listens on and that loopback reaches, rising; `::1` where it is IPv6 alone.
 * Fault: `writer-failed`.
 */
export function listeningPorts(
  procRoot: string, pid: number): Promise<readonly { host: string; port: number }[]> {
  return withOwnSockets(`${procRoot}/${pid}`, pid, async (folder, own) => {
    const ports = new Map<number, string>()
    for (const [file, host] of [['tcp', '127.0.0.1'], ['tcp6', '::1']] as const) {
      const table = await readSmallFile(`${folder}/net/${file}`, MAX_TABLE_BYTES).catch(() => '')
      for (const line of table.split('\n').slice(1)) {
        const [, local = '', , state, , , , , , inode = ''] = line.trim().split(/\s+/)
        const [address = '', port = ''] = local.split(':')
        if (state !== TCP_LISTENS || !own.has(inode) || !/^[\dA-F]{4}$/.test(port)) continue
        const number = Number.parseInt(port, 16)
        if (isLoopback(address) && !ports.has(number)) ports.set(number, host)
      }
    }
    return [...ports].map(([port, host]) => ({ host, port })).toSorted((a, b) => a.port - b.port)
  })
}

/** The address as four-byte words in the machine's order: any, 127.x.y.z (little endian), `::1`. */
function isLoopback(address: string): boolean {
  return /^0+$/.test(address) || /^[\dA-F]{6}7F$/.test(address) ||
    address === '00000000000000000000000001000000'
}

/** `read` with the inodes of the sockets that the process has. */
async function withOwnSockets<T>(
  folder: string, pid: number, read: (folder: string, own: ReadonlySet<string>) => Promise<T>,
): Promise<T> {
  try {
    const descriptors = (await readdir(`${folder}/fd`)).slice(0, MAX_DESCRIPTORS)
    const own = new Set<string>()
    for (const name of descriptors) {
      const target = await readlink(`${folder}/fd/${name}`).catch(() => '') // closed meanwhile
      const inode = /^socket:\[(\d+)\]$/.exec(target)?.[1]
      if (inode !== undefined) own.add(inode)
    }
    return await read(folder, own)
  } catch (cause) {
    throw new Fault('writer-failed', `the sockets of process ${pid} cannot be looked up`, {
      cause, advice: 'Run the agent as root: it must see the sockets of the servers it asks.' })
  }
}
