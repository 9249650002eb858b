/** What libvirt knows of a machine's agent without asking the guest. */

import { childAt } from '../../base/xml.ts'
import type { FreezerMissing, PowerState } from '../../consistency/mod.ts'
import { channelNamed, type Domain } from './domain.ts'

const AGENT = 'org.qemu.guest_agent.0'

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
