/** Whether a machine has ended, judged from its sockets: a guest that is gone holds nothing. */

import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { isLibvirtAgent } from '../libvirt/agent-address.ts'
import type { HoldSockets } from './record.ts'

/**
 * True only if libvirt says that its machine does not run, or if nobody is behind any of the
 * machine's sockets, a QMP socket among them. That the
 * agent's socket cannot be found says nothing by itself: a cleaner of temporary files may have
 * removed it while the machine lives on, frozen. The kernel still lists such a socket. Never
 * throws; what cannot be told is `false`.
 */
export async function isMachineGone({ agent, qmp, guardianQmp }: HoldSockets): Promise<boolean> {
  if (agent !== undefined && isLibvirtAgent(agent)) {
    const { isDomainGone } = await import('../libvirt/agent-channel.ts')
    return isDomainGone(agent)
  }
  if (qmp === undefined && guardianQmp === undefined) return false
  const paths = [agent, qmp, guardianQmp].filter((path) => path !== undefined)
  for (const path of paths) if (!await isDeserted(path)) return false
  return !isBound(paths)
}

async function isDeserted(path: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>()
  const socket = connect({ path })
  socket.once('connect', () => resolve(false))
  socket.once('error', (error: NodeJS.ErrnoException) => {
    resolve(error.code === 'ENOENT' || error.code === 'ECONNREFUSED')
  })
  try {
    return await promise
  } finally {
    socket.destroy()
  }
}

/**
 * Whether the kernel knows a socket that was bound to one of the paths, whose file may be gone
 * (proc_net(5), `unix`). A socket bound by a relative path is compared by its end.
 */
function isBound(paths: readonly string[]): boolean {
  try {
    const bound = readFileSync('/proc/net/unix', 'utf8').split('\n')
      .flatMap((line) => /^(?:\S+\s+){7}(.+)$/.exec(line)?.[1] ?? [])
    return bound.some((name) => paths.some((path) =>
      path === name || (!name.startsWith('/') && path.endsWith(`/${name}`))))
  } catch {
    return false // another kernel: the paths alone have to do
  }
}
