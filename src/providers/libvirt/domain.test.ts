import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatXml, parseXml } from '../../base/xml.ts'
import { discoverDisks } from './disks.ts'
import { powerOf, type Domain } from './domain.ts'
import { missingAgent } from './guest-agent.ts'
import { describeDomain, stripped } from './inventory.ts'

const UUID = '11111111-2222-4333-8444-555555555555'
const MIB = 1024 * 1024

function domain(devices: string, sizes: Record<string, number> = {}, more = ''): Domain {
  const xml = parseXml(`<domain type='qemu' id='3'><name>db1</name>
    <memory unit='KiB'>262144</memory>
    <vcpu current='2'>4</vcpu><os><type arch='x86_64' machine='q35'>hvm</type></os>${more}
    <devices>${devices}</devices></domain>`, 'a test', 'platform-protocol')
  return { uuid: UUID, name: 'db1', id: 3, xml, state: { state: 1, reason: 1 },
    sizes: new Map(Object.entries(sizes)), isBusy: false }
}

const disk = (target: string, inner: string, attributes = `type='file' device='disk'`): string =>
  `<disk ${attributes}><driver name='qemu' type='qcow2'/>${inner}<target dev='${target}' ` +
  `bus='virtio'/></disk>`
const file = (name: string): string => `<source file='/images/${name}.qcow2'/>`

test('each disk is in the set or left out, with the reason', () => {
  const found = discoverDisks(domain([
    disk('vda', file('a')),
    disk('vdb', `${file('b')}<shareable/>`),
    disk('vdc', `${file('c')}<readonly/>`),
    disk('vdd', file('d')), // libvirt does not tell its size
    disk('sda', file('e'), `type='file' device='cdrom'`),
    disk('sdb', '', `type='file' device='cdrom'`),
    disk('sdc', `<source dev='/dev/sdx'/>`, `type='block' device='lun'`),
    disk('vde', `<source type='unix' path='/x'/>`, `type='vhostuser' device='disk'`),
    disk('vdf', `${file('f')}<transient/>`),
    `<disk type='file'><driver type='raw' iothread='1'/>${file('g')}<target dev='vdg'/></disk>`,
    `<hostdev mode='subsystem' type='scsi'/><hostdev mode='subsystem' type='usb'/>`,
  ].join(''), { vda: 64 * MIB, vdg: MIB }), 7)
  assert.deepEqual(found.disks.map(({ id, sizeBytes, format, file }) => [id, sizeBytes, format,
    file]), [['vda', 64 * MIB, 'qcow2', '/images/a.qcow2']])
  assert.deepEqual(found.leftOut.map(({ id, reason }) => `${id} ${reason}`), ['vdb shared',
    'vdc read-only', 'vdd unsupported', 'sda read-only', 'sdb empty', 'sdc pass-through',
    'vde unsupported', 'vdf unsupported', 'vdg unsupported', 'hostdev0 pass-through'])
})

test('a disk in an I/O thread, its own or its controller\'s, is left to newer QEMUs', () => {
  const it = domain(`<disk type='file' device='disk'><source file='/a'/>
    <target dev='sda' bus='scsi'/><address type='drive' controller='1' target='0' unit='2'/></disk>
    <controller type='scsi' index='1'><driver iothread='1'/>
    <address type='pci' domain='0x0000' bus='0x05' slot='0x00' function='0x0'/></controller>`,
  { sda: MIB })
  assert.deepEqual(discoverDisks(it, 7).leftOut.map(({ reason }) => reason), ['unsupported'])
  const [found] = discoverDisks(it, 9).disks
  assert.deepEqual(found?.pci, { bus: 5, slot: 0, function: 0 })
  assert.deepEqual([found?.bus, found?.target, found?.lun], ['scsi', 0, 2])
})

test('a chain of images is told from top to base', () => {
  const [found] = discoverDisks(domain(disk('vda', `${file('top')}<backingStore type='file'>
    <format type='qcow2'/><source file='/images/base.qcow2'/><backingStore/></backingStore>`),
  { vda: MIB }), 7).disks
  assert.deepEqual(found?.sources, ['file /images/top.qcow2', 'file /images/base.qcow2'])
})

test('a machine is described in portable words', () => {
  const it = domain(`${disk('vda', `${file('a')}<serial>S1</serial>
    <blockio logical_block_size='4096'/>`)}<interface type='network'>
    <mac address='52:54:00:00:00:01'/><model type='virtio'/></interface>`, { vda: MIB },
  `<os><loader type='pflash'>/x</loader></os>`)
  assert.deepEqual(describeDomain(it, 7), {
    version: 1, name: 'db1', platformId: UUID, platform: 'libvirt', architecture: 'x86_64',
    cpuCount: 2, memoryBytes: 256 * MIB, firmware: 'bios',
    disks: [{ id: 'vda', sizeBytes: MIB, bus: 'virtio', serial: 'S1', logicalBlockBytes: 4096 }],
    nics: [{ model: 'virtio-net-pci', mac: '52:54:00:00:00:01' }],
  })
})

test('secrets do not leave libvirt\'s definition', () => {
  const text = formatXml(stripped(parseXml(`<domain xmlns:qemu='q'><metadata><a>hush1</a>
    </metadata><graphics passwd='hush2'/><auth username='u'><secret type='ceph' uuid='kept'/></auth>
    <source name='http://u:hush3@h/x'/><sysinfo type='fwcfg'><entry name='opt/token'>hush4</entry>
    <entry>io.systemd.credential:x=hush5</entry></sysinfo>
    <qemu:commandline><qemu:arg value='secret,id=s,data=hush6'/></qemu:commandline>
    <os><cmdline>root=x luks.key=hush7</cmdline></os></domain>`, 'a test', 'platform-protocol')))
  assert.doesNotMatch(text, /hush/)
  assert.match(text, /kept/)
})

test('states that cannot be captured are faults with advice, others are power states', () => {
  const power = (state: number, reason = 0): string => powerOf({ state: { state, reason } })
  assert.deepEqual([power(1), power(3, 1), power(5), power(5, 5), power(7)],
    ['running', 'paused', 'off', 'saved', 'paused'])
  assert.throws(() => power(3, 5), { code: 'machine-not-ready', advice: /virsh resume/ })
  assert.throws(() => power(3, 10), { code: 'machine-not-ready' })
  assert.throws(() => power(6), { code: 'machine-not-ready' })
})

test('an agent that nobody can ask is told apart', () => {
  const channel = (state: string): string => `<channel type='unix'><target type='virtio'
    name='org.qemu.guest_agent.0' ${state}/></channel>`
  assert.equal(missingAgent(domain(''), 'running')?.missing, 'no-agent-configured')
  assert.equal(missingAgent(domain(channel(`state='disconnected'`)), 'running')?.missing,
    'agent-silent')
  assert.equal(missingAgent(domain(channel(`state='connected'`)), 'off')?.missing, 'agent-silent')
  assert.equal(missingAgent(domain(channel(`state='connected'`)), 'running'), undefined)
})
