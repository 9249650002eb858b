/** Which privileges the account has and which it lacks: docs/operations/vmware.md lists them. */

import { isFault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import type { VimMachine } from './machine.ts'
import type { VimClient } from './vim/client.ts'
import { morefElement, textElement, type Moref } from './vim/soap.ts'
import { childrenOf, textAt } from '../../base/xml.ts'

/** On the machine. */
const MACHINE_PRIVILEGES: readonly string[] = [
  'VirtualMachine.State.CreateSnapshot', 'VirtualMachine.State.RemoveSnapshot',
  'VirtualMachine.Config.ChangeTracking',
]
/** On the datastores that hold its disks. */
const DATASTORE_PRIVILEGES: readonly string[] = [
  'Datastore.Browse', 'Datastore.FileManagement',
]

export type PrivilegeReport =
  | { readonly missing: readonly string[] }
  | { readonly unknown: string }

/** More datastores than a machine's disks lie on. */
const MAX_DATASTORES = 16

/** Asks without trying anything; that it cannot be asked is no fault. */
export async function missingPrivileges(
  client: VimClient, { ref, datastores }: Pick<VimMachine, 'ref' | 'datastores'>,
  signal: AbortSignal,
): Promise<PrivilegeReport> {
  const missing: string[] = []
  for (const [entity, wanted] of [
    [ref, MACHINE_PRIVILEGES] as const,
    ...datastores.slice(0, MAX_DATASTORES).map((it) => [it, DATASTORE_PRIVILEGES] as const),
  ]) {
    const report = await missingOn(client, entity, wanted, signal)
    if ('unknown' in report) return report
    missing.push(...report.missing.filter((id) => !missing.includes(id)))
  }
  return { missing }
}

async function missingOn(
  client: VimClient, ref: Moref, wanted: readonly string[], signal: AbortSignal,
): Promise<PrivilegeReport> {
  const manager = client.services.authorizationManager
  if (manager === undefined) return { unknown: 'the server has no authorization manager' }
  try {
    const answer = await client.call('HasPrivilegeOnEntities', manager,
      morefElement('entity', ref) + textElement('sessionId', client.sessionKey) +
      wanted.map((id) => textElement('privId', id)).join(''), {}, signal)
    const granted = new Set(childrenOf(answer, 'returnval')
      .flatMap((entity) => childrenOf(entity, 'privAvailability'))
      .filter((it) => textAt(it, 'isGranted') === 'true')
      .map((it) => textAt(it, 'privId')))
    return { missing: wanted.filter((id) => !granted.has(id)) }
  } catch (error) {
    if (!isFault(error, 'platform-refused', 'unsupported', 'machine-lost')) throw error
    return { unknown: printable(error.message) }
  }
}
