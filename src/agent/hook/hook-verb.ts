/**
 * `stillpoint-agent hook …`: the client that hooks of qemu-ga and scripts of VMware Tools run, and
 * that a requestor runs through qemu-ga. It asks the agent that is resident, and ends.
 */

import type { Clock } from '../../base/clock.ts'
import { causesOf, Fault } from '../../base/fault.ts'
import { HOOK_FREEZE_MS, isNonce } from '../../channel/mod.ts'
import { askAgent } from './hook-socket.ts'

export interface HookContext {
  readonly socket: string
  readonly clock: Clock
  readonly print: (text: string) => void
  /** For what must be seen and fails nothing. */
  readonly warn: (text: string) => void
}

/** Beyond the agent's own limit, after which it has let go. */
const FREEZE_MS = HOOK_FREEZE_MS + 15_000
const THAW_MS = 60_000
/** Checkpoints of all databases; who asked has a limit of its own. */
const ANNOUNCE_MS = 600_000

/**
 * Carries one out. A freeze that is not held rejects, so that whoever runs the hook stops there; a
 * thaw never does: nothing is held any more where nobody answers. Faults: `usage`, the agent's.
 */
export async function runHook(
  [what = '', nonce]: readonly string[], { socket, clock, print, warn }: HookContext,
): Promise<void> {
  const ask = async (question: Parameters<typeof askAgent>[1], limitMs: number): Promise<unknown> =>
    askAgent(socket, question, limitMs, clock)
  switch (what) {
    case 'freeze': return print(String(await ask({ do: what }, FREEZE_MS)))
    case 'thaw': case 'freezeFail': // as VMware Tools calls it when another script has failed
      return print(await ask({ do: 'thaw' }, THAW_MS).then(String, (error: unknown) => {
        warn(`not released here: ${causesOf(error).join(': ')}`)
        return 'the agent lets go by itself'
      }))
    case 'discover': return print(JSON.stringify(await ask({ do: what }, ANNOUNCE_MS)))
    case 'announce': case 'forget':
      if (isNonce(nonce)) {
        return print(JSON.stringify(await ask({ do: what, nonce }, ANNOUNCE_MS)))
      }
  }
  throw new Fault('usage', 'a hook is one of freeze, thaw, freezeFail, discover, announce NONCE, ' +
    'forget NONCE')
}
