/**
 * `stillpoint-agent hook …`: the client that hooks of qemu-ga and scripts of VMware Tools run, and
 * that a requestor runs through qemu-ga. It asks the agent that is resident, and ends.
 */

import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { systemClock as clock } from '../../base/clock.ts'
import { causesOf, Fault } from '../../base/fault.ts'
import { HOOK_FREEZE_MS, isNonce } from '../../channel/mod.ts'
import { askAgent, HOOK_SOCKET } from './hook-socket.ts'

/** Beyond the agent's own limit, after which it has let go. */
const FREEZE_MS = HOOK_FREEZE_MS + 15_000
const THAW_MS = 60_000
/** Checkpoints of all databases; who asked has a limit of its own. */
const ANNOUNCE_MS = 600_000

/**
 * Carries one out. A freeze that is not held rejects, so that whoever runs the hook stops there; a
 * thaw never does: nothing is held any more where nobody answers. Faults: `usage`, the agent's.
 */
export async function main(args: readonly string[]): Promise<number> {
  const { values: { root }, positionals: [what = '', nonce] } = parseArgs({
    args: [...args], allowPositionals: true,
    options: { root: { type: 'string', default: '/' } } })
  process.stdout.write(`${await carryOut(join(root, HOOK_SOCKET), what, nonce)}\n`)
  return 0
}

/** What to print. */
async function carryOut(socket: string, what: string, nonce: string | undefined): Promise<string> {
  const ask = async (question: Parameters<typeof askAgent>[1], limitMs: number): Promise<unknown> =>
    askAgent(socket, question, limitMs, clock)
  switch (what) {
    case 'freeze': return String(await ask({ do: what }, FREEZE_MS))
    case 'thaw': case 'freezeFail': // as VMware Tools calls it when another script has failed
      return ask({ do: 'thaw' }, THAW_MS).then(String, (error: unknown) => {
        process.stderr.write(`warning: not released here: ${causesOf(error).join(': ')}\n`)
        return 'the agent lets go by itself'
      })
    case 'discover': return JSON.stringify(await ask({ do: what }, ANNOUNCE_MS))
    case 'announce': case 'forget':
      if (isNonce(nonce)) return JSON.stringify(await ask({ do: what, nonce }, ANNOUNCE_MS))
  }
  throw new Fault('usage', 'a hook is one of freeze, thaw, freezeFail, discover, announce NONCE, ' +
    'forget NONCE')
}
