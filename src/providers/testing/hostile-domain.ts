/** All that is made of a libvirt's answers about a machine, for tests that damage them. */

import type { MachineDescription } from '../../catalog/mod.ts'
import { findJob } from '../libvirt/backup-job.ts'
import { powerOf, readDomain } from '../libvirt/domain.ts'
import { missingAgent } from '../libvirt/guest-agent.ts'
import { describeDomain, domainDocuments } from '../libvirt/inventory.ts'

const UUID = '11111111-2222-4333-8444-555555555555'

/** `answer` is given virsh's words. Faults: whatever the reading of such answers gives. */
export async function describeHostileDomain(
  answer: (words: readonly string[]) => Promise<string>, signal: AbortSignal,
): Promise<MachineDescription> {
  const virsh = { run: answer }
  const domain = await readDomain(virsh, UUID, signal)
  missingAgent(domain, powerOf(domain))
  await findJob(virsh, UUID, signal)
  await domainDocuments(virsh, UUID, signal)
  return describeDomain(domain, 7)
}
