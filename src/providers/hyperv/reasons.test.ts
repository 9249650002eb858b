import assert from 'node:assert/strict'
import { test } from 'node:test'
import { surveySchema, type HypervMachine } from './host-answers.ts'
import { simulatedState } from '../testing/hyperv/simulated-host.ts'
import { expectedLevel, reasonsIn, remarksOn } from './reasons.ts'

/** Every reason of the product for which no consistent backup is possible, as it numbers them. */
const NUMBERS: readonly (readonly [source: string, ids: readonly number[]])[] = [
  ['Microsoft-Windows-Hyper-V-Integration-VSS',
    [4096, 4100, 4102, 4000, 4010, 4097, 4098, 4099, 4101]],
  ['Microsoft-Windows-Hyper-V-VMMS', [10_103, 10_107, 10_136, 10_168, 10_169, 10_144, 10_147,
    10_145, 10_150, 10_154, 10_155, 10_156, 10_172, 10_102, 15_252, 18_012, 18_014, 18_016, 18_032,
    19_090, 19_100]],
  ['Microsoft-Windows-Hyper-V-Worker', [3352, 3280, 3216, 3332, 3438]],
  ['Microsoft-Windows-VHDMP', [8, 9, 10]],
]

for (const [source, ids] of NUMBERS) {
  for (const id of ids) {
    test(`${source} ${id} is explained`, () => {
      const [reason, ...others] = reasonsIn([{ source, id, level: 2, at: '' }])
      assert.ok(reason !== undefined && reason.says.length > 20 && others.length === 0)
      assert.doesNotMatch(reason.says, /[A-Z]:|0x|\bVMMS\b/)
    })
  }
}

test('events that say nothing of backups, or the same again, are left out', () => {
  const vmms = { source: 'Microsoft-Windows-Hyper-V-VMMS', level: 2, at: '' }
  assert.deepEqual(reasonsIn([{ ...vmms, id: 1 }, { ...vmms, source: 'Other', id: 18_012 }]), [])
  assert.equal(reasonsIn([{ ...vmms, id: 18_012 }, { ...vmms, id: 18_012 }]).length, 1)
})

test('a Windows is not asked where its applications could truncate their logs', () => {
  const [windows, linux] = [machineWith(() => {}), machineWith((it) => { it.guestOs = 'Debian' })]
  assert.equal(expectedLevel(windows, false), 'none')
  assert.ok(remarksOn(windows, false).some(({ name }) => name === 'type of backup'))
  assert.equal(expectedLevel(linux, false), 'filesystem')
})

type Spoil = (machine: ReturnType<typeof simulatedState>['machines'][number]) => void

const service = (primary: string, enabled = true): Spoil => ({ services: [vss] }) => {
  if (vss !== undefined) Object.assign(vss, { primary, enabled })
}

const CASES: readonly (readonly [
  name: string, spoil: Spoil, level: string, remark: string, says: RegExp])[] = [
  ['a machine in order', () => {}, 'filesystem', 'backup service', /the guest answers/],
  ['backup switched off', service('Ok', false), 'none', 'backup service', /switched off/],
  ['no answer of the guest', service('NoContact'), 'none', 'backup service', /does not run/],
  ['another version', service('ProtocolMismatch'), 'none', 'backup service', /unsupported version/],
  ['no SCSI controller', (it) => { it.hasScsi = false }, 'none', 'SCSI controller', /needs/],
  ['fibre channel', (it) => { it.hasFibreChannel = true }, 'filesystem', 'fibre channel', /not in/],
  ['a disk passed through', ({ disks: [disk] }) => { if (disk) disk.isPassThrough = true },
    'filesystem', 'pass-through disk', /not in the backup/],
  ['a shared disk', ({ disks: [disk] }) => { if (disk) disk.isShared = true },
    'filesystem', 'shared disk', /not in the backup/],
  ['off', (it) => { it.state = 'Off' }, 'none', 'backup service', /does not run/],
  ['a Linux', (it) => { it.guestOs = 'Ubuntu' }, 'filesystem', 'guest', /no application/],
  ['a guest that tells nothing', (it) => { it.guestOs = null }, 'filesystem', 'guest', /not tell/],
  ['a VHD', ({ disks: [disk] }) => { if (disk?.chain[0]) disk.chain[0].format = 'VHD' },
    'filesystem', 'change tracking', /format VHD/],
  ['an old version', (it) => { it.version = '5.0' }, 'filesystem', 'change tracking', /5\.0/],
  ['a user\'s checkpoint', (it) => {
    it.checkpoints.push({ id: it.id, name: 'mine', notes: '', isRecovery: false })
  }, 'filesystem', 'checkpoints', /1, which stay/],
]

for (const [name, spoil, level, remark, says] of CASES) {
  test(`${name}: said to the operator`, () => {
    const machine = machineWith(spoil)
    assert.equal(expectedLevel(machine, true), level)
    assert.match(remarksOn(machine, true).find((it) => it.name === remark)?.says ?? '', says)
  })
}

function machineWith(spoil: Spoil): HypervMachine {
  const { host, machines } = simulatedState('C:\\vm\\disk.vhdx')
  for (const machine of machines) spoil(machine)
  return surveySchema.parse({ host, machines }).machines[0] ?? assert.fail()
}
