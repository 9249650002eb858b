/** What an operator should know of a machine before its first backup. Pure. */

import { printable } from '../../base/text.ts'
import type { QuiesceLevel, SurveyRemark } from '../../consistency/mod.ts'
import type { VimDisk } from './devices.ts'
import { whyNotReadable, type ReadingWay } from './flat-disk.ts'
import type { ToolsState, VimMachine } from './machine.ts'
import type { PrivilegeReport } from './privileges.ts'

export function remarksOn(
  machine: VimMachine, privileges: PrivilegeReport, way: ReadingWay): readonly SurveyRemark[] {
  return [
    toolsRemark(machine.tools),
    ...isWindows(machine) ? [uuidRemark(machine.hasDiskUuids)] : [],
    controllerRemark(machine),
    ...machine.isEncrypted || machine.disks.some(({ backing }) => backing.isEncrypted) ? [{
      name: 'encryption',
      says: 'the machine is encrypted: Windows is held as far as its file systems alone',
    }] : [],
    ...machine.disks.flatMap((disk) => readingRemark(disk, way)),
    snapshotRemark(machine),
    trackingRemark(machine),
    ...machine.needsConsolidation ? [{
      name: 'consolidation', says: 'needed: files of removed snapshots are still in use',
      advice: 'Consolidate the disks of the machine (vSphere Client, Snapshots, Consolidate).',
    }] : [],
    privilegeRemark(privileges),
  ]
}

export function isWindows({ guestId }: VimMachine): boolean {
  return guestId.startsWith('win')
}

/** What vSphere's own conditions allow (reference: the conditions for application quiescing). */
export function bestLevel(machine: VimMachine, disks: readonly VimDisk[]): QuiesceLevel {
  if (machine.power !== 'running' || machine.tools.running !== 'guestToolsRunning') return 'none'
  const scsi = machine.controllers.filter(({ bus }) => bus === 'scsi')
  const freeSlots = scsi.reduce((sum, { freeSlots = 0 }) => sum + freeSlots, 0)
  const isPossible = isWindows(machine) && machine.hasDiskUuids && !machine.isEncrypted &&
    disks.every(({ bus }) => bus === 'scsi') && freeSlots >= disks.length
  return isPossible ? 'application' : 'filesystem'
}

const TOOLS_VERSIONS: Readonly<Record<string, string>> = {
  guestToolsCurrent: 'current',
  guestToolsUnmanaged: 'open-vm-tools or another package of the guest\'s own, which is normal',
  guestToolsTooOld: 'too old to be supported',
  guestToolsSupportedOld: 'older than this host\'s, supported',
  guestToolsSupportedNew: 'newer than this host\'s, supported',
  guestToolsTooNew: 'newer than this host knows, and may not work with it',
  guestToolsBlacklisted: 'a version with a grave fault, to be upgraded at once',
  guestToolsNeedUpgrade: 'older than this host\'s',
}

function toolsRemark({ running, version }: ToolsState): SurveyRemark {
  const name = 'VMware Tools'
  if (version === 'guestToolsNotInstalled') {
    return { name, says: 'never installed, so that nothing can be held still',
      advice: 'Install open-vm-tools (Linux) or VMware Tools (Windows) in the guest.' }
  }
  const known = TOOLS_VERSIONS[version]
  const kind = known === undefined ? '' : `; ${known}`
  switch (running) {
    case 'guestToolsRunning': return { name, says: `running${kind}`,
      ...version === 'guestToolsTooOld' || version === 'guestToolsBlacklisted'
        ? { advice: 'Upgrade VMware Tools in the guest.' } : {} }
    case 'guestToolsExecutingScripts': return { name, says: `starting${kind}`,
      advice: 'Wait until the guest has started.' }
    default: return { name, says: `not running, so that nothing can be held still${kind}`,
      advice: 'Start VMware Tools in the guest (systemctl enable --now open-vm-tools).' }
  }
}

function uuidRemark(isOn: boolean): SurveyRemark {
  const name = 'disk.EnableUUID'
  return isOn ? { name, says: 'on' } : {
    name, says: 'off: Windows is held as far as its file systems alone',
    advice: 'Set disk.EnableUUID to TRUE in the machine\'s advanced settings while it is off.' }
}

function controllerRemark({ controllers, disks }: VimMachine): SurveyRemark {
  const used = controllers.filter(({ key, bus, busNumber }) => key >= 0 &&
    disks.some(({ id }) => id.startsWith(`${bus}${busNumber}-`)))
  return {
    name: 'controllers',
    says: used.length === 0 ? 'none that a disk is on' : used.map(({ bus, busNumber, freeSlots }) =>
      `${bus}${busNumber} with ${freeSlots ?? 'unknown'} free places`).join(', '),
  }
}

/** What a backup would be refused for. */
function readingRemark(disk: VimDisk, way: ReadingWay): readonly SurveyRemark[] {
  const why = disk.leftOut === undefined ? whyNotReadable(disk, way) : undefined
  return why === undefined ? [] : [{
    name: `disk ${disk.id}`, says: why.message,
    ...why.advice === undefined ? {} : { advice: why.advice } }]
}

function snapshotRemark({ snapshots }: VimMachine): SurveyRemark {
  const names = snapshots.slice(0, 3).map(({ name }) => `"${printable(name, 40)}"`).join(', ')
  const more = snapshots.length > 3 ? ` and ${snapshots.length - 3} more` : ''
  return snapshots.length === 0 ? { name: 'snapshots', says: 'none' } : {
    name: 'snapshots', says: `${snapshots.length} already there: ${names}${more}`,
    advice: 'Remove those that nobody needs: with one there, disks cannot be read from their ' +
      'datastore and change tracking cannot be switched on.' }
}

function trackingRemark(machine: VimMachine): SurveyRemark {
  const name = 'change tracking'
  if (machine.tracksChanges) return { name, says: 'on' }
  if (machine.hardwareVersion > 0 && machine.hardwareVersion < 7) {
    return { name, says: `impossible with hardware version ${machine.hardwareVersion}`,
      advice: 'Upgrade the hardware version of the machine.' }
  }
  return { name, says: machine.canTrackChanges
    ? 'off: a backup of the machine without snapshots switches it on'
    : 'off, and the host does not say that it offers it' }
}

function privilegeRemark(report: PrivilegeReport): SurveyRemark {
  const name = 'privileges'
  if ('unknown' in report) return { name, says: `not known: ${report.unknown}` }
  return report.missing.length === 0 ? { name, says: 'all there' } : {
    name, says: `missing: ${report.missing.join(', ')}`,
    advice: 'Give them to the account; docs/operations/vmware.md lists what is needed where.' }
}
