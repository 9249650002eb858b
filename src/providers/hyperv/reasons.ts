/**
 * Why Hyper-V cannot hold a guest, or not all of it: the product's own reasons in plain
 * words (docs/operations/hyperv.md), from how the machine stands and from what the host logged.
 */

import type { QuiesceLevel, SurveyRemark } from '../../consistency/mod.ts'
import type { HostEvent, HypervMachine } from './host-answers.ts'
import { guestKind, powerOf, serviceOf } from './machine.ts'

type Words = Pick<SurveyRemark, 'says' | 'advice'>

const VSS = 'Integration-VSS'
const VMMS = 'VMMS'
const WORKER = 'Worker'

/** By a part of the provider's name, and the event's number. */
const EVENTS: readonly (Words & { readonly source: string; readonly id: number })[] = [
  { source: VSS, id: 4096, says: 'backup is switched off among the integration services',
    advice: 'Enable "Backup (volume checkpoint)" in the settings of the machine.' },
  { source: VSS, id: 4100, says: 'the guest\'s part of backup does not run',
    advice: 'Start the service vmicvss (Windows) or hv_vss_daemon (Linux) in the guest.' },
  { source: VSS, id: 4102, says: 'the guest\'s integration components are old',
    advice: 'Update them in the guest (Windows Update, or linux-cloud-tools).' },
  { source: VSS, id: 4000, says: 'the guest\'s integration components are too old',
    advice: 'Update them in the guest.' },
  { source: VSS, id: 4010,
    says: 'the guest\'s integration components are of an unsupported version',
    advice: 'Update them in the guest.' },
  { source: VSS, id: 4097, says: 'the guest has dynamic disks, which are not held',
    advice: 'Convert them to basic disks.' },
  { source: VSS, id: 4098, says: 'shadow copies of a volume are kept on another volume',
    advice: 'In the guest, let each volume keep its own: vssadmin resize shadowstorage.' },
  { source: VSS, id: 4099, says: 'the guest has volumes that cannot be held (FAT, exFAT)',
    advice: 'Move their data to NTFS or ReFS.' },
  { source: VSS, id: 4101, says: 'the guest has storage spaces, which are not held',
    advice: 'Back up their data from inside the guest.' },
  { source: VMMS, id: 10_103, says: 'the machine has no SCSI controller, which a hold needs',
    advice: 'Add a SCSI controller to the machine.' },
  { source: VMMS, id: 10_107,
    says: 'a disk of the host is passed through: it is not in the backup' },
  { source: VMMS, id: 10_136, says: 'the guest uses iSCSI itself: that disk is not in the backup' },
  { source: VMMS, id: 10_168, says: 'a disk comes by fibre channel: it is not in the backup' },
  { source: VMMS, id: 10_169, says: 'a disk is shared by machines: it is not in the backup' },
  { source: VMMS, id: 10_144, says: 'another operation was at work on the machine',
    advice: 'Run the backup again when it has ended.' },
  { source: VMMS, id: 10_147, says: 'the machine was stopped during the backup' },
  { source: VMMS, id: 10_145, says: 'the machine was changed during the backup',
    advice: 'Run the backup again.' },
  { source: VMMS, id: 10_150, says: 'the checkpoint could not be made' },
  { source: VMMS, id: 10_154, says: 'a checkpoint of a backup could not be removed' },
  { source: VMMS, id: 10_155, says: 'a checkpoint of a backup could not be removed' },
  { source: VMMS, id: 10_156, says: 'a checkpoint of a backup could not be removed' },
  { source: VMMS, id: 10_172, says: 'writers in the guest failed when they were told of the backup',
    advice: 'In the guest: vssadmin list writers, and the event log Application.' },
  { source: VMMS, id: 10_102, says: 'a file AutoRecovery.avhdx was left behind',
    advice: 'Remove it when no backup is at work: it makes the next hold fail.' },
  { source: VMMS, id: 15_252, says: 'the snapshot by VSS failed' },
  { source: VMMS, id: 18_012, says: 'the checkpoint failed' },
  { source: VMMS, id: 18_014, says: 'the checkpoint was cancelled' },
  { source: VMMS, id: 18_016, says: 'a production checkpoint cannot be made of this machine',
    advice: 'See which of the other reasons is there.' },
  { source: VMMS, id: 18_032, says: 'the host does not know the type of backup asked for' },
  { source: WORKER, id: 3352, says: 'VSS in the guest failed',
    advice: 'In the guest: vssadmin list writers, and the event log Application.' },
  { source: WORKER, id: 3280, says: 'the checkpoint could not be begun' },
  { source: WORKER, id: 3216, says: 'the machine could not be switched to its new disk files' },
  { source: WORKER, id: 3332, says: 'a disk of the host is passed through' },
  { source: WORKER, id: 3438, says: 'a fibre channel adapter is attached' },
  { source: VMMS, id: 19_090, says: 'the merging of disk files was interrupted',
    advice: 'Hyper-V goes on with it by itself; see that there is room.' },
  { source: VMMS, id: 19_100, says: 'the merging of disk files failed',
    advice: 'See that there is room on the volume of its disks.' },
  { source: 'VHDMP', id: 8, says: 'the record of a disk\'s changes was begun anew' },
  { source: 'VHDMP', id: 9, says: 'the record of a disk\'s changes was begun anew' },
  { source: 'VHDMP', id: 10, says: 'the record of a disk\'s changes was begun anew' },
]

/** What the host logged, each reason once. */
export function reasonsIn(events: readonly HostEvent[]): readonly (Words & { id: number })[] {
  const found = events.flatMap(({ source, id }) =>
    EVENTS.filter((it) => it.id === id && source.includes(it.source)))
  return found.filter((it, at) => found.findIndex(({ says }) => says === it.says) === at)
}

/** How far Hyper-V can be expected to quiesce. `mayAsk`: also a Windows may be asked. */
export function expectedLevel(machine: HypervMachine, mayAsk: boolean): QuiesceLevel {
  if (powerOf(machine) !== 'running') return 'none'
  if (!mayAsk && guestKind(machine) !== 'linux') return 'none'
  const vss = serviceOf(machine, 'vss')
  if (vss?.enabled !== true || vss.primary !== 'Ok' || !machine.hasScsi) return 'none'
  return 'filesystem'
}

export function remarksOn(machine: HypervMachine, mayAsk: boolean): readonly SurveyRemark[] {
  return [
    backupService(machine), guest(machine),
    ...mayAsk || guestKind(machine) === 'linux' ? [] : [{
      name: 'type of backup',
      says: 'this host cannot ask a guest for a copy (Server 2019 can): its applications could ' +
        'truncate their logs, so it is not asked to hold still',
      advice: 'Accept it for a machine whose logs nobody else needs (acceptLogTruncation: true).',
    }],
    ...machine.hasScsi ? [] : [{ name: 'SCSI controller', ...wordsOf(VMMS, 10_103) }],
    ...machine.hasFibreChannel ? [{ name: 'fibre channel', ...wordsOf(VMMS, 10_168) }] : [],
    ...machine.disks.some(({ isPassThrough }) => isPassThrough)
      ? [{ name: 'pass-through disk', ...wordsOf(VMMS, 10_107) }] : [],
    ...machine.disks.some(({ isShared }) => isShared)
      ? [{ name: 'shared disk', ...wordsOf(VMMS, 10_169) }] : [],
    tracking(machine), checkpoints(machine),
  ]
}

function wordsOf(source: string, id: number): Words {
  return EVENTS.find((it) => it.source === source && it.id === id) ?? { says: '' }
}

function backupService(machine: HypervMachine): SurveyRemark {
  const name = 'backup service'
  const vss = serviceOf(machine, 'vss')
  if (vss?.enabled !== true) return { name, ...wordsOf(VSS, 4096) }
  if (powerOf(machine) !== 'running') return { name, says: 'enabled; the machine does not run' }
  switch (vss.primary) {
    case 'Ok': return { name, says: 'enabled, and the guest answers' }
    case 'ProtocolMismatch': return { name, ...wordsOf(VSS, 4010) }
    default: return { name, ...wordsOf(VSS, 4100) }
  }
}

function guest(machine: HypervMachine): SurveyRemark {
  const name = 'guest'
  switch (guestKind(machine)) {
    case 'windows': return { name,
      says: 'Windows: its applications are held by VSS; which of them took part is known from ' +
        'its event log alone',
      advice: 'After the next backup run stillpoint prove --logs.' }
    case 'linux': return { name,
      says: 'Linux: Hyper-V holds its file systems, and no application' }
    default: return { name,
      says: 'it does not tell what it is, so that it is not known what is held' }
  }
}

function tracking(machine: HypervMachine): SurveyRemark {
  const name = 'change tracking'
  const [old] = machine.disks.filter(({ chain }) => chain[0]?.format === 'VHD')
  if (Number.parseFloat(machine.version) < 8) {
    return { name, says: `none: its configuration version is ${machine.version}`,
      advice: 'Update it with Update-VMVersion (8.0 or newer); there is no way back.' }
  }
  return old === undefined ? { name, says: 'available: only what changed is read' }
    : { name, says: 'not for disks of the format VHD, which are read in full',
      advice: 'Convert them with Convert-VHD.' }
}

function checkpoints({ checkpoints: all }: HypervMachine): SurveyRemark {
  const own = all.filter(({ isRecovery }) => !isRecovery).length
  return { name: 'checkpoints', says: own === 0 ? 'none but those of backups'
    : `${own}, which stay as they are` }
}
