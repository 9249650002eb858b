/** What QEMU knows of the agent's channel without asking the guest. */

import { realpath } from 'node:fs/promises'
import { printable } from '../../base/text.ts'
import type { FreezerMissing, PowerState } from '../../consistency/mod.ts'
import type { QmpClient } from './qmp-client.ts'
import { ask } from './qmp-replies.ts'

/**
 * `held`: another client has the host's end; `unopened`: nobody in the guest has its end open: no
 * agent runs, or it has only just begun to; `unknown`: QEMU has no such channel, the socket may be
 * another program's.
 */
export type AgentChannel = 'free' | 'held' | 'unopened' | 'unknown'

/** How the channel behind `agentPath` stands, before we connect. Faults: `platform-*`. */
export async function agentChannel(
  client: QmpClient, agentPath: string, signal: AbortSignal): Promise<AgentChannel> {
  const wanted = await realPath(agentPath)
  for (const chardev of await ask(client, 'query-chardev', signal)) {
    // `disconnected:unix:/run/qga.sock,server=on`, or without the first word while connected.
    const path = /^(?:disconnected:)?unix:(.*?)(?:,server.*)?$/.exec(chardev.filename)?.[1]
    if (path === undefined || await realPath(path) !== wanted) continue
    if (!chardev.filename.startsWith('disconnected:')) return 'held'
    return chardev['frontend-open'] ? 'free' : 'unopened'
  }
  return 'unknown'
}

/** Why the agent is not even asked. */
export function missingAgent(
  path: string | undefined, channel: string | undefined, power: PowerState,
): FreezerMissing | undefined {
  if (path === undefined) {
    return { missing: 'no-agent-configured', detail: 'no agent socket was named (agent=PATH)' }
  }
  if (power !== 'running') {
    return { missing: 'agent-silent', detail: 'the machine does not run, so nothing is frozen' }
  }
  if (channel === 'held') {
    return { missing: 'agent-busy', detail:
      `another program holds ${printable(path)}, which serves one client at a time` }
  }
  return undefined
}

function realPath(path: string): Promise<string> {
  return realpath(path).catch(() => path)
}
