/** `stillpoint machines`: what can be protected. */

import { formatBytes, printable } from '../../base/text.ts'
import type { MachineSummary } from '../../catalog/mod.ts'
import type { PlatformListing } from '../../engine/mod.ts'
import { renderTable } from './table.ts'
import { AGENT_WORDS, POWER_WORDS } from './words.ts'

/** Platforms that did not answer are told of as faults, not here. */
export function renderMachines(listings: readonly PlatformListing[]): string {
  const found = listings.flatMap(({ platform, machines }) =>
    machines.map((machine) => ({ platform, machine })))
  if (found.length === 0) return 'no machine was found'
  const table = renderTable(
    [
      { title: 'MACHINE' }, { title: 'PLATFORM' }, { title: 'POWER' }, { title: 'GUEST AGENT' },
      { title: 'DISKS' },
    ],
    found.map(({ platform, machine }) => [
      printable(machine.name, 64), platform, POWER_WORDS[machine.power],
      AGENT_WORDS[machine.agent], disksOf(machine),
    ]))
  return [...table, ...hintsFor(found.map(({ machine }) => machine))].join('\n')
}

function disksOf({ disks }: MachineSummary): string {
  if (disks.length === 0) return 'none'
  return disks.map(({ id, sizeBytes }) => `${printable(id, 64)} ${formatBytes(sizeBytes)}`)
    .join(', ')
}

/** Each hint once, however many machines it is for. */
function hintsFor(machines: readonly MachineSummary[]): readonly string[] {
  const names = new Map<string, string[]>()
  for (const { name, power, agent } of machines) {
    const hint = power === 'running' ? HINTS[agent] : undefined
    if (hint === undefined) continue
    const all = names.get(hint) ?? []
    all.push(printable(name, 64))
    names.set(hint, all)
  }
  return [...names].map(([hint, all]) => {
    const more = all.length - MAX_NAMES
    return `${all.slice(0, MAX_NAMES).join(', ')}${more > 0 ? ` and ${more} more` : ''}: ${hint}`
  })
}

/** A hint for a whole vCenter would hide its list. */
const MAX_NAMES = 5

const CRASH = 'no better than "crash", as if the power had failed'

const HINTS: Readonly<Record<MachineSummary['agent'], string | undefined>> = {
  'answers': undefined,
  'not-needed': undefined,
  'silent': `the guest agent does not answer; without it a backup is ${CRASH}. ` +
    'Install and start qemu-guest-agent in the guest; on vSphere, VMware Tools.',
  'not-configured': `no guest agent is named; without it a backup is ${CRASH}. ` +
    'Add agent=PATH to --on, or agent: to the platform.',
  'disabled': `the guest agent refuses to freeze; a backup is ${CRASH}. ` +
    'Allow guest-fsfreeze-* in the agent\'s configuration.',
  'busy': `somebody else uses the guest agent; a backup now is ${CRASH}. ` +
    'End the other user of its socket, or back up later.',
}
