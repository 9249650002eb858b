/** The way to the applications of a machine, if there is one. */

import { isFault } from '../base/fault.ts'
import { connectUnix } from '../base/unix-socket.ts'
import { connectRemoteHost, socketChannel } from '../channel/mod.ts'
import type { ApplicationHost, ApplicationHostMissing } from '../consistency/mod.ts'
import type { ProviderContext } from '../providers/mod.ts'

const ROLE = { what: 'the channel of the agent', code: 'agent-unreachable' } as const

/**
 * Connects to the agent of Stillpoint in the machine, over the host's end of its port; dispose the
 * host. An agent that does not answer is no fault: what is returned says why.
 */
export async function openApplications(
  channelPath: string | undefined, { clock, random, log }: ProviderContext, signal: AbortSignal,
): Promise<ApplicationHost | ApplicationHostMissing> {
  if (channelPath === undefined) {
    return { missing: 'there is no agent of Stillpoint in the guest' }
  }
  try {
    const channel = socketChannel(await connectUnix(channelPath, ROLE, signal))
    return await connectRemoteHost({ channel, clock, random }, signal)
  } catch (error) {
    signal.throwIfAborted()
    if (!isFault(error, 'agent-unreachable', 'agent-protocol', 'unsupported')) throw error
    log.warn('agent.not-reached', { reason: error.message })
    return { missing: error.message }
  }
}
