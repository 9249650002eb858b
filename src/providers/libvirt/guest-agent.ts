/** What libvirt knows of a machine's agents, qemu-ga and ours, without asking the guest. */

import { constants } from 'node:fs'
import { access } from 'node:fs/promises'
import { childAt } from '../../base/xml.ts'
import type { FreezerMissing, PowerState } from '../../consistency/mod.ts'
import { channelNamed, type Domain } from './domain.ts'

const AGENT = 'org.qemu.guest_agent.0'
const OWN_AGENT = 'org.stillpoint.agent.0'

/** Why the agent is not even asked; undefined if it may be. */
export function missingAgent(
  { xml }: Pick<Domain, 'xml'>, power: PowerState): FreezerMissing | undefined {
  const channel = channelNamed(xml, AGENT)
  if (channel === undefined) {
    return { missing: 'no-agent-configured',
      detail: `the machine has no channel ${AGENT}: add one to its definition` }
  }
  if (power !== 'running') {
    return { missing: 'agent-silent', detail: 'the machine does not run, so nothing is frozen' }
  }
  // libvirt learns from QEMU when the guest's end is opened and closed.
  if (childAt(channel, 'target')?.attributes.get('state') === 'disconnected') {
    return { missing: 'agent-silent',
      detail: 'nobody in the guest has the agent\'s channel open: install qemu-guest-agent there' }
  }
  return undefined
}

/**
 * The host's end of the port of our own agent, where its other end is open and this user may use
 * it; libvirt names one that the definition does not. Undefined elsewhere: hooks may lead there.
 */
export async function openedPort({ xml }: Pick<Domain, 'xml'>): Promise<string | undefined> {
  const channel = channelNamed(xml, OWN_AGENT)
  const source = childAt(channel, 'source')?.attributes
  const path = source?.get('path')
  const isOpen = childAt(channel, 'target')?.attributes.get('state') !== 'disconnected'
  const isSocket = channel?.attributes.get('type') === 'unix' && source?.get('mode') === 'bind'
  if (!isSocket || path === undefined || !isOpen) return undefined
  return access(path, constants.R_OK | constants.W_OK).then(() => path, () => undefined)
}
