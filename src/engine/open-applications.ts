/** The way to the applications of a machine, if there is one. */

import { isFault } from '../base/fault.ts'
import { connectUnix } from '../base/unix-socket.ts'
import type { InsideMachine } from '../backup/mod.ts'
import { connectHookHost, connectRemoteHost, socketChannel } from '../channel/mod.ts'
import type { ApplicationHost, ApplicationHostMissing } from '../consistency/mod.ts'
import type { ProviderContext } from '../providers/mod.ts'

const ROLE = { what: 'the channel of the agent', code: 'agent-unreachable' } as const

/**
 * Connects to the agent of Stillpoint in the machine, over the host's end of its port, or where
 * none is named through the platform's hooks in it; dispose the host. An agent that does not answer
 * is no fault: what is returned says why.
 */
export async function openApplications(
  channelPath: string | undefined, inside: InsideMachine | undefined,
  { clock, random, log }: ProviderContext, signal: AbortSignal,
): Promise<ApplicationHost | ApplicationHostMissing> {
  try {
    if (channelPath !== undefined) {
      const channel = socketChannel(await connectUnix(channelPath, ROLE, signal))
      return await connectRemoteHost({ channel, clock, random }, signal)
    }
    if (inside === undefined) return { missing: NOBODY }
    return await connectHookHost({ ...inside, tool: 'qemu-ga', clock }, signal)
  } catch (error) {
    signal.throwIfAborted()
    if (channelPath === undefined && isFault(error, 'agent-refused')) return { missing: NOBODY }
    if (!isFault(error, 'agent-unreachable', 'agent-protocol', 'agent-refused', 'timed-out',
      'guardian-failed', 'unsupported')) throw error
    log.warn('agent.not-reached', { reason: error.message })
    return { missing: error.message }
  }
}

/** Its program cannot be started there, or starting programs is not allowed. */
const NOBODY = 'there is no agent of Stillpoint in the guest'
