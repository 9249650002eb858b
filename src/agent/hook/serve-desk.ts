/** The resident agent's desk for hooks: its socket, its token, its applications. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Clock } from '../../base/clock.ts'
import { encodeAnnounced, HookDesk, TOKEN_FILE, type HookDiscovery } from '../../channel/mod.ts'
import type { ApplicationHost } from '../../consistency/mod.ts'
import { makeFolderOf, replaceFile } from '../install/replace-file.ts'
import { HOOK_SOCKET, serveHooks } from './hook-socket.ts'
import { hookStandings } from './hook-standing.ts'

export interface DeskParts {
  /** `/`, or the folder that stands for it in a test. */
  readonly root: string
  readonly host: ApplicationHost
  readonly clock: Clock
  /** What is held for requestors of any channel. */
  readonly holds: Set<object>
}

/** Serves until the signal aborts, then releases what is held. Faults: `io-error`. */
export async function serveDesk(
  { root, host, clock, holds }: DeskParts, signal: AbortSignal): Promise<void> {
  const token = join(root, TOKEN_FILE)
  const desk = new HookDesk({
    host, clock, holds,
    bootId: readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim(),
    keep: async (bytes) => {
      await makeFolderOf(token, root)
      await replaceFile(token, bytes, 0o600)
    },
  })
  try {
    await serveHooks(join(root, HOOK_SOCKET), async (question, gone) => {
      switch (question.do) {
        case 'discover': {
          const applications = await desk.discover(gone)
          const hooks = await hookStandings('/proc', root)
          return { agent: host.agent, hooks, applications } satisfies HookDiscovery
        }
        case 'announce': return encodeAnnounced(await desk.announce(question.nonce, gone))
        case 'forget': return desk.forget(question.nonce)
        case 'freeze': return desk.freeze(gone)
        case 'thaw': return desk.thaw()
        default: return question satisfies never
      }
    }, clock, signal)
  } finally {
    await desk.end()
  }
}
