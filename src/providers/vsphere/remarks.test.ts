import assert from 'node:assert/strict'
import { test } from 'node:test'
import { chooseDisks } from '../machine/choose-disks.ts'
import { foundDisks } from './devices.ts'
import { parseMachine, type VimMachine } from './machine.ts'
import { bestLevel, remarksOn } from './remarks.ts'
import { localizedFault } from './vim/soap.ts'
import { parseXml, type XmlElement } from '../../base/xml.ts'

const XSI = 'xmlns:x="http://www.w3.org/2001/XMLSchema-instance"'
const element = (name: string, content: string): XmlElement =>
  parseXml(`<${name} ${XSI}>${content}</${name}>`, name, 'platform-protocol')

const CONTROLLER = '<device x:type="ParaVirtualSCSIController"><key>1000</key>' +
  '<busNumber>0</busNumber><sharedBus>noSharing</sharedBus></device>'
const disk = (unit: number, backing = '', type = 'VirtualDiskFlatVer2BackingInfo'): string =>
  `<device x:type="VirtualDisk"><key>${2000 + unit}</key><backing x:type="${type}">` +
  `<fileName>[ds] vm/vm_${unit}.vmdk</fileName>${backing}</backing>` +
  `<controllerKey>1000</controllerKey><unitNumber>${unit}</unitNumber>` +
  '<capacityInKB>1024</capacityInKB></device>'

interface Stated {
  readonly devices?: string
  readonly config?: string
  readonly values?: Readonly<Record<string, string>>
}

function machine({ devices = CONTROLLER + disk(0), config = '', values = {} }: Stated): VimMachine {
  const all = {
    'name': 'web1', 'runtime.powerState': 'poweredOn',
    'guest.toolsRunningStatus': 'guestToolsRunning',
    'guest.toolsVersionStatus2': 'guestToolsUnmanaged', ...values }
  return parseMachine({
    ref: { type: 'VirtualMachine', id: 'vm-1' }, missing: new Map(),
    values: new Map([
      ...Object.entries(all).map(([key, text]) => [key, element('val', text)] as const),
      ['config', element('val', `<version>vmx-19</version><hardware>${devices}</hardware>` +
        '<files><vmPathName>[ds] vm/vm.vmx</vmPathName></files>' + config)] as const,
    ]),
  })
}

const says = (stated: Stated, name: string): string | undefined =>
  remarksOn(machine(stated), { missing: [] }, 'folder').find((it) => it.name === name)?.says

test('each state of VMware Tools is said in words', () => {
  const cases: readonly (readonly [string, string, RegExp])[] = [
    ['guestToolsRunning', 'guestToolsUnmanaged', /^running; open-vm-tools .* normal$/],
    ['guestToolsRunning', 'guestToolsCurrent', /^running; current$/],
    ['guestToolsRunning', 'guestToolsTooOld', /^running; too old/],
    ['guestToolsRunning', 'guestToolsBlacklisted', /grave fault/],
    ['guestToolsRunning', 'guestToolsSupportedOld', /older than this host's, supported$/],
    ['guestToolsRunning', 'guestToolsSupportedNew', /newer than this host's, supported$/],
    ['guestToolsRunning', 'guestToolsTooNew', /may not work/],
    ['guestToolsRunning', 'guestToolsNeedUpgrade', /^running; older/],
    ['guestToolsRunning', 'somethingNew', /^running$/],
    ['guestToolsExecutingScripts', 'guestToolsCurrent', /^starting; current$/],
    ['guestToolsNotRunning', 'guestToolsCurrent', /^not running, .*; current$/],
    ['guestToolsNotRunning', 'guestToolsNotInstalled', /^never installed/],
  ]
  for (const [running, version, expected] of cases) {
    const values = { 'guest.toolsRunningStatus': running, 'guest.toolsVersionStatus2': version }
    assert.match(says({ values }, 'VMware Tools') ?? '', expected)
  }
})

test('what else bears on backups is said, with what is missing by name', () => {
  const windows = '<guestId>windows2019srv_64Guest</guestId>'
  assert.equal(says({}, 'disk.EnableUUID'), undefined)
  assert.match(says({ config: windows }, 'disk.EnableUUID') ?? '', /^off/)
  const uuids = '<extraConfig><key>disk.EnableUUID</key><value>TRUE</value></extraConfig>'
  assert.equal(says({ config: windows + uuids }, 'disk.EnableUUID'), 'on')
  assert.equal(says({}, 'controllers'), 'scsi0 with 62 free places')
  assert.equal(says({}, 'encryption'), undefined)
  assert.match(says({ config: '<keyId><keyId>k</keyId></keyId>' }, 'encryption') ?? '', /encrypted/)
  assert.equal(says({}, 'snapshots'), 'none')
  const tree = '<rootSnapshotList><snapshot type="VirtualMachineSnapshot">s-1</snapshot>' +
    '<name>before\u009bupdate</name><childSnapshotList>' +
    '<snapshot type="VirtualMachineSnapshot">s-2</snapshot><name>b</name></childSnapshotList>' +
    '</rootSnapshotList>'
  assert.equal(says({ values: { snapshot: tree } }, 'snapshots'),
    '2 already there: "before\\x9bupdate", "b"')
  assert.match(says({ values: { 'runtime.consolidationNeeded': 'true' } }, 'consolidation') ?? '',
    /needed/)
  assert.equal(says({ config: '<changeTrackingEnabled>true</changeTrackingEnabled>' },
    'change tracking'), 'on')
  assert.match(says({ values: { 'capability.changeTrackingSupported': 'true' } },
    'change tracking') ?? '', /^off: .* switches it on$/)
  const lacking = remarksOn(machine({}), { missing: ['Datastore.Browse'] }, 'folder')
  assert.equal(lacking.find(({ name }) => name === 'privileges')?.says, 'missing: Datastore.Browse')
})

test('a disk that a backup could not read is told beforehand, with what to do', () => {
  const told = (backing: string, type?: string): string =>
    says({ devices: CONTROLLER + disk(0, backing, type) }, 'disk scsi0-0') ?? 'nothing'
  assert.equal(told(''), 'nothing')
  assert.equal(told('<diskMode>independent_persistent</diskMode>'), 'nothing')
  assert.match(told('<parent><fileName>[ds] vm/a.vmdk</fileName></parent>'), /chain of files/)
  assert.match(told('<keyId><keyId>k</keyId></keyId>'), /encrypted by vSphere/)
  assert.match(told('', 'VirtualDiskSeSparseBackingInfo'), /kind VirtualDiskSeSparseBackingInfo/)
  assert.match(told('<compatibilityMode>virtualMode</compatibilityMode>',
    'VirtualDiskRawDiskMappingVer1BackingInfo'), /which is read by VDDK alone/)
  const parent = '<parent><fileName>[ds] a.vmdk</fileName></parent>'
  const chain = { devices: CONTROLLER + disk(0, parent) }
  assert.ok(remarksOn(machine(chain), { missing: [] }, 'vddk')
    .every(({ name }) => !name.startsWith('disk ')))
})

test('the level that can be reached follows the conditions of vSphere, each of them', () => {
  const good: Stated = { config: '<guestId>windows2019srv_64Guest</guestId>' +
    '<extraConfig><key>disk.enableUUID</key><value>true</value></extraConfig>' }
  const level = (stated: Stated): string => {
    const it = machine({ ...good, ...stated })
    return bestLevel(it, it.disks)
  }
  assert.equal(level({}), 'application')
  assert.equal(level({ config: '<guestId>debian12_64Guest</guestId>' }), 'filesystem')
  assert.equal(level({ config: '<guestId>windows2019srv_64Guest</guestId>' }), 'filesystem')
  assert.equal(level({ config: `${good.config ?? ''}<keyId/>` }), 'filesystem')
  const lsi = CONTROLLER.replace('ParaVirtualSCSI', 'VirtualLsiLogicSAS')
  const disks = (count: number): string =>
    Array.from({ length: count }, (_, unit) => disk(unit)).join('')
  assert.equal(level({ devices: lsi + disks(7) }), 'application')
  assert.equal(level({ devices: lsi + disks(8) }), 'filesystem')
  const sata = CONTROLLER.replace('ParaVirtualSCSI', 'VirtualAHCI')
  assert.equal(level({ devices: sata + disks(1) }), 'filesystem')
  assert.equal(level({ values: { 'guest.toolsRunningStatus': 'guestToolsNotRunning' } }), 'none')
  assert.equal(level({ values: { 'runtime.powerState': 'poweredOff' } }), 'none')
})

test('disks that no snapshot captures are left out and said, the others chosen', () => {
  const { disks } = machine({ devices: CONTROLLER + disk(0) +
    disk(1, '<diskMode>independent_persistent</diskMode>') +
    disk(2, '<compatibilityMode>physicalMode</compatibilityMode>',
      'VirtualDiskRawDiskMappingVer1BackingInfo') +
    disk(3, '<sharing>sharingMultiWriter</sharing>') + disk(4) })
  const found = foundDisks(disks)
  const chosen = chooseDisks(found, ['scsi0-4'])
  assert.deepEqual(chosen.disks.map(({ id, sizeBytes }) => [id, sizeBytes]),
    [['scsi0-0', 2 ** 20]])
  assert.deepEqual(chosen.leftOut.map(({ id, reason }) => [id, reason]), [
    ['scsi0-1', 'independent'], ['scsi0-2', 'pass-through'], ['scsi0-3', 'shared'],
    ['scsi0-4', 'excluded']])
  assert.throws(() => chooseDisks(found, ['scsi0-0', 'scsi0-4']),
    { code: 'nothing-to-back-up', message: /scsi0-1: its mode independent_persistent/ })
  const shared = CONTROLLER.replace('noSharing', 'physicalSharing')
  assert.deepEqual(machine({ devices: shared + disk(0) }).disks.map((it) => it.leftOut?.reason),
    ['shared'])
})

test('a machine of which nothing is told is a fault that says why', () => {
  const ref = { type: 'VirtualMachine', id: 'vm-1' }
  assert.throws(() => parseMachine({ ref, values: new Map(), missing: new Map() }),
    { code: 'machine-not-ready' })
  const refusal = localizedFault(element('fault', '<fault x:type="NoPermission">' +
    '<privilegeId>System.Read</privilegeId></fault>'))
  assert.throws(
    () => parseMachine({ ref, values: new Map(), missing: new Map([['config', refusal]]) }),
    { code: 'platform-refused', message: /lacks the privilege System\.Read$/ })
})

test('disks in one place are told apart, and a size must be a number', () => {
  assert.deepEqual(machine({ devices: CONTROLLER + disk(0) + disk(0) }).disks.map(({ id }) => id),
    ['disk-2000', 'disk-2000'])
  assert.throws(() => machine({ devices: disk(0).replace('1024', '1e9') }),
    { code: 'platform-protocol' })
})
