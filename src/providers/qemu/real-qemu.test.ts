/** The provider against a real QEMU whose disks a test writes as a guest would. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmod, mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { systemClock } from '../../base/clock.ts'
import { silentLog } from '../../base/log.ts'
import { systemRandom, uuid } from '../../base/random.ts'
import type { Platform } from '../../catalog/mod.ts'
import type { RequestorHeldSet } from '../../consistency/mod.ts'
import type { BlockSource } from '../../disk/mod.ts'
import { BareQemu, qemuMissing, temporaryFolder } from '../testing/mod.ts'
import { openQemuPlatform } from './platform.ts'

const signal = new AbortController().signal
const MIB = 1024 * 1024
const context = { clock: systemClock, random: systemRandom, log: silentLog }

/** Disks on three kinds of controllers, with and without ids, and drives that are left out. */
const ARGUMENTS = (folder: string): readonly string[] => [
  '-machine', 'q35', '-name', 'db1', '-uuid', '11111111-2222-4333-8444-555555555555',
  '-device', 'virtio-scsi-pci,id=scsi0',
  '-netdev', 'user,id=u', '-device', 'virtio-net-pci,mac=52:54:00:12:34:56,id=net0,netdev=u',
  '-blockdev', `driver=qcow2,node-name=na,file.driver=file,file.filename=${folder}/a.qcow2`,
  '-device', 'virtio-blk-pci,id=Root,drive=na,serial=SERA',
  '-drive', `if=virtio,file=${folder}/b.qcow2,format=qcow2`,
  '-drive', `if=none,id=c,file=${folder}/c.qcow2,format=qcow2`,
  '-device', 'scsi-hd,drive=c,lun=3',
  '-drive', `if=none,id=d,file=${folder}/d.qcow2,format=qcow2`,
  '-device', 'nvme,drive=d,serial=NV1,id=nv',
  '-device', 'scsi-cd,id=cd',
  '-drive', `if=none,id=iso,file=${folder}/e.qcow2,format=qcow2,readonly=on`,
  '-device', 'scsi-cd,id=cd2,drive=iso',
]
const DEVICES = {
  root: '/machine/peripheral/Root/virtio-backend', virtio0: 'virtio0', c: 'c', nv: 'd' } as const
const IMAGES = { root: 'a', virtio0: 'b', c: 'c', nv: 'd' } as const

interface Scene extends AsyncDisposable {
  readonly folder: string
  readonly qemu: BareQemu
  readonly platform: Platform
  prepare(exclude?: readonly string[]): Promise<RequestorHeldSet>
}

interface SceneOptions {
  readonly arguments?: (folder: string) => readonly string[]
  readonly scratchDir?: string
  readonly leastScratchBytes?: number
  readonly userId?: number
}

/** Undefined, and the test skipped, where QEMU is missing. */
async function scene(t: TestContext, options: SceneOptions = {}): Promise<Scene | undefined> {
  const missing = qemuMissing()
  if (missing !== undefined) {
    t.skip(missing)
    return undefined
  }
  await using stack = new AsyncDisposableStack()
  const { path: folder } = stack.use(await temporaryFolder())
  const qemu = stack.use(await BareQemu.start({
    folder, images: ['a', 'b', 'c', 'd', 'e'],
    arguments: (options.arguments ?? ARGUMENTS)(folder),
    ...(options.userId === undefined ? {} : { userId: options.userId }) }))
  const { arguments: _, userId: _userId, ...rest } = options
  const platform = stack.use(await openQemuPlatform(
    { qmp: qemu.qmpSocket, runDir: join(folder, 'run'), ...rest }, context, signal))
  const owned = stack.move()
  return {
    folder, qemu, platform,
    prepare: async (exclude = []) => {
      const [machine] = await platform.machines(signal)
      const set = await platform.provider(machine?.name ?? '')
        .prepare({ pointId: uuid(systemRandom), exclude }, signal)
      assert.ok(set.heldBy === 'requestor')
      return set
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

async function readAll(source: BlockSource): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  for (let offset = 0; offset < source.sizeBytes; offset += 4 * MIB) {
    parts.push(await source.read(offset, Math.min(4 * MIB, source.sizeBytes - offset), signal))
  }
  return Buffer.concat(parts)
}

test('disks of each kind are found by stable ids, and what is left out is named', async (t) => {
  await using s = await scene(t)
  if (s === undefined) return
  const [machine] = await s.platform.machines(signal)
  assert.equal(machine?.name, 'db1')
  assert.equal(machine?.power, 'running')
  assert.equal(machine?.agent, 'not-configured')
  assert.deepEqual(machine?.disks.map(({ id }) => id).toSorted(), ['c', 'nv', 'root', 'virtio0'])
  await using set = await s.prepare(['virtio0'])
  assert.deepEqual(set.leftOut.map(({ id, reason }) => `${id} ${reason}`).toSorted(),
    ['cd empty', 'cd2 read-only', 'virtio0 excluded'])
  assert.ok('missing' in set.freezer && set.freezer.missing === 'no-agent-configured')
})

test('the machine is described in portable words, without secrets', async (t) => {
  await using s = await scene(t)
  if (s === undefined) return
  const { machine, documents } = await s.platform.describe('db1', signal)
  const disks = machine.disks.map(({ id, bus, serial }) => `${id} ${bus} ${serial}`).toSorted()
  assert.deepEqual(
    { ...machine, disks },
    {
      version: 1, name: 'db1', platformId: '11111111-2222-4333-8444-555555555555',
      platform: 'qemu', architecture: 'x86_64', cpuCount: 1, memoryBytes: 64 * MIB,
      firmware: 'bios', nics: [{ model: 'virtio-net-pci', mac: '52:54:00:12:34:56' }],
      disks: ['c scsi undefined', 'nv nvme NV1', 'root virtio SERA', 'virtio0 virtio undefined'],
    })
  assert.ok(documents.some(({ name }) => name === 'query-block.json'))
  await assert.rejects(s.platform.describe('other', signal), { code: 'machine-not-found' })
})

test('what is captured is the instant, however the disks change afterwards', async (t) => {
  await using s = await scene(t)
  if (s === undefined) return
  for (const device of Object.values(DEVICES)) {
    await s.qemu.write(device, 0x11, 0, 2 * MIB)
    await s.qemu.write(device, 0x22, 40 * MIB, MIB)
  }
  await using set = await s.prepare()
  const committed = await set.commit(signal)
  assert.equal(committed.method, 'stop-window')
  assert.equal(committed.oneInstant, true)
  const before = new Map<string, Uint8Array>()
  for (const [id, name] of Object.entries(IMAGES)) before.set(id, await s.qemu.rawContent(name))
  for (const device of Object.values(DEVICES)) {
    await s.qemu.write(device, 0x33, MIB, 2 * MIB)
    await s.qemu.qemuIo(device, `discard ${40 * MIB} 64k`)
  }
  for (const { id } of set.disks) {
    await using source = await committed.open(id, signal)
    assert.deepEqual(Buffer.from(await readAll(source)), before.get(id), id)
    let data = 0
    assert.ok(source.extents !== undefined)
    for await (const extent of source.extents({ offset: 0, length: source.sizeBytes }, signal)) {
      if (extent.kind === 'data') data += extent.length
    }
    assert.ok(data < 8 * MIB, `${id}: ${data} bytes are called data`)
  }
  assert.deepEqual(await committed.stillIntact(signal), { intact: true })
  assert.deepEqual(await set.recheck(signal), [])
})

test('afterwards the machine runs as before, and nothing of ours is left anywhere', async (t) => {
  await using s = await scene(t)
  if (s === undefined) return
  const nodes = async (): Promise<unknown> =>
    s.qemu.client.execute('query-named-block-nodes', { flat: true }, signal)
  const images = await readdir(s.folder)
  const before = JSON.stringify(await nodes())
  {
    await using set = await s.prepare()
    const committed = await set.commit(signal)
    await using _source = await committed.open('root', signal)
    assert.notDeepEqual(await s.qemu.leavings(), [])
  }
  assert.deepEqual(await s.qemu.leavings(), [])
  assert.equal(JSON.stringify(await nodes()), before)
  assert.deepEqual((await readdir(s.folder)).filter((name) => name !== 'run'), images)
  assert.deepEqual(await readdir(join(s.folder, 'run')), [])
  await s.qemu.write(DEVICES.root, 0x44, 0, MIB)
  assert.equal((await s.qemu.rawContent('a'))[0], 0x44)
  await using again = await s.prepare()
  await again.commit(signal)
})

test('a machine that is paused is captured without being resumed', async (t) => {
  await using s = await scene(t)
  if (s === undefined) return
  await s.qemu.client.execute('stop', {}, signal)
  {
    await using set = await s.prepare()
    assert.equal(set.power, 'paused')
    assert.ok('missing' in set.freezer)
    const committed = await set.commit(signal)
    await using source = await committed.open('root', signal)
    await source.read(0, 512, signal)
  }
  assert.deepEqual(await s.qemu.client.execute('query-status', {}, signal),
    { status: 'paused', singlestep: false, running: false })
})

test('a machine paused between prepare and commit is not resumed by us', async (t) => {
  await using s = await scene(t)
  if (s === undefined) return
  await using set = await s.prepare()
  await s.qemu.client.execute('stop', {}, signal)
  await set.commit(signal)
  assert.match(JSON.stringify(await s.qemu.client.execute('query-status', {}, signal)), /"paused"/)
})

test('a full scratch file breaks the instant and leaves the machine alone', async (t) => {
  const small = await smallFileSystem(t)
  if (small === undefined) return
  await using scratch = small
  await using s = await scene(t, { scratchDir: scratch.path, leastScratchBytes: 0 })
  if (s === undefined) return
  await s.qemu.write(DEVICES.root, 0x11, 0, 16 * MIB) // zeros would need no scratch
  await using set = await s.prepare(['c', 'nv'])
  const committed = await set.commit(signal)
  await using source = await committed.open('root', signal)
  await s.qemu.write(DEVICES.root, 0x55, 0, 16 * MIB)
  await assert.rejects(source.read(0, MIB, signal), { code: 'scratch-full' })
  await assert.rejects(source.read(60 * MIB, 512, signal), { code: 'scratch-full' })
  const intact = await committed.stillIntact(signal)
  assert.ok('broken' in intact && /ran out/.test(intact.broken))
  assert.match(JSON.stringify(await s.qemu.client.execute('query-status', {}, signal)), /"running"/)
  assert.equal((await s.qemu.rawContent('a'))[15 * MIB], 0x55)
})

test('a capture is given up before its scratch takes the last space', async (t) => {
  const small = await smallFileSystem(t, 32)
  if (small === undefined) return
  await using scratch = small
  await using s = await scene(t, { scratchDir: scratch.path, leastScratchBytes: 28 * MIB })
  if (s === undefined) return
  await s.qemu.write(DEVICES.root, 0x11, 0, 24 * MIB)
  await using set = await s.prepare()
  const committed = await set.commit(signal)
  await using source = await committed.open('root', signal)
  await s.qemu.write(DEVICES.root, 0x55, 0, 24 * MIB)
  while ((await s.qemu.leavings()).length > 0) await systemClock.sleep(20, signal)
  await assert.rejects(source.read(0, MIB, signal), { code: 'scratch-full' })
  await assert.rejects(committed.open('c', signal), { code: 'scratch-full' })
  const intact = await committed.stillIntact(signal)
  assert.ok('broken' in intact && /given up/.test(intact.broken))
  assert.equal((await s.qemu.rawContent('a'))[23 * MIB], 0x55)
})

test('what a killed run left is swept by the next one', async (t) => {
  await using s = await scene(t)
  if (s === undefined) return
  const abandoned = await s.prepare()
  const committed = await abandoned.commit(signal)
  await using _source = await committed.open('root', signal)
  assert.notDeepEqual(await s.qemu.leavings(), [])
  // The abandoned set is never disposed, as if its process had been killed.
  {
    await using set = await s.prepare()
    const again = await set.commit(signal)
    await using source = await again.open('root', signal)
    await source.read(0, 512, signal)
  }
  assert.deepEqual(await s.qemu.leavings(), [])
  await abandoned[Symbol.asyncDispose]()
})

test('recover releases what a killed run left and then finds nothing', async (t) => {
  await using s = await scene(t)
  if (s === undefined) return
  const abandoned = await s.prepare()
  const committed = await abandoned.commit(signal)
  await using _source = await committed.open('root', signal)
  const provider = s.platform.provider('db1')
  assert.ok(provider.recover !== undefined)
  const released = await provider.recover(signal)
  assert.ok(released.some((what) => /^export stillpoint-\S+ was removed$/.test(what)))
  assert.ok(released.some((what) => /^node stillpoint-\S+ was removed$/.test(what)))
  assert.deepEqual(await s.qemu.leavings(), [])
  assert.deepEqual(await provider.recover(signal), [])
  await abandoned[Symbol.asyncDispose]()
})

test('an NBD server or a job of somebody else is a clear fault and stays as it is', async (t) => {
  await using s = await scene(t)
  if (s === undefined) return
  const { client } = s.qemu
  const addr = { type: 'unix', data: { path: join(s.folder, 'other.sock') } }
  await client.execute('nbd-server-start', { addr }, signal)
  await assert.rejects(s.prepare(), { code: 'machine-busy' })
  await client.execute('block-export-add', { type: 'nbd', id: 'x', 'node-name': 'na' }, signal)
  await assert.rejects(s.prepare(), { code: 'machine-busy' })
  assert.deepEqual(await s.qemu.leavings(), [])
  await client.execute('nbd-server-stop', {}, signal)
  await using _set = await s.prepare()
})

test('a disk in an I/O thread of an old QEMU is left out rather than put at risk', async (t) => {
  await using s = await scene(t, { arguments: (folder) => ['-machine', 'q35',
    '-object', 'iothread,id=io1',
    '-drive', `if=none,id=a,file=${folder}/a.qcow2,format=qcow2`,
    '-device', 'virtio-blk-pci,drive=a,id=vda,iothread=io1',
    '-device', 'virtio-scsi-pci,id=scsi0,iothread=io1',
    '-drive', `if=none,id=c,file=${folder}/c.qcow2,format=qcow2`,
    '-device', 'scsi-hd,drive=c,id=sda',
    '-drive', `if=virtio,file=${folder}/b.qcow2,format=qcow2`] })
  if (s === undefined) return
  await using set = await s.prepare()
  assert.deepEqual(set.disks.map(({ id }) => id), ['virtio0'])
  assert.deepEqual(set.leftOut.map(({ id, reason }) => `${id} ${reason}`).toSorted(),
    ['sda unsupported', 'vda unsupported'])
  await assert.rejects(s.prepare(['virtio0']), { code: 'nothing-to-back-up' })
})

test('a disk added during the backup is told', async (t) => {
  await using s = await scene(t)
  if (s === undefined) return
  await using set = await s.prepare()
  await set.commit(signal)
  const { client } = s.qemu
  await client.execute('blockdev-add', { driver: 'null-co', 'node-name': 'n', size: MIB }, signal)
  await client.execute('device_add', { driver: 'scsi-hd', drive: 'n', id: 'new' }, signal)
  assert.deepEqual((await set.recheck(signal)).map(({ id, reason }) => [id, reason]),
    [['new', 'hot-added']])
})

test('too little scratch space is a fault before anything is touched', async (t) => {
  await using s = await scene(t, { leastScratchBytes: Number.MAX_SAFE_INTEGER })
  if (s === undefined) return
  await assert.rejects(s.prepare(), { code: 'no-space' })
  assert.deepEqual(await s.qemu.leavings(), [])
})

test('a QEMU that may not use our folders is told with advice before the hold', async (t) => {
  if (process.getuid?.() !== 0) return t.skip('only root can run QEMU as somebody else')
  const nobody = 65_534
  await using s = await scene(t, { userId: nobody })
  if (s === undefined) return
  // The run directory is root's alone.
  await assert.rejects(s.prepare(), { code: 'platform-refused', advice: /the user that runs QEMU/ })
  assert.deepEqual(await s.qemu.leavings(), [])
})

test('an NBD server that a killed run left without exports is replaced', async (t) => {
  await using s = await scene(t)
  if (s === undefined) return
  const killed = await s.prepare() // its server has no exports yet
  {
    await using set = await s.prepare()
    await set.commit(signal)
  }
  assert.deepEqual((await readdir(join(s.folder, 'run'))).filter((name) => /nbd/.test(name)), [])
  await killed[Symbol.asyncDispose]()
})

/** So much tmpfs, where mounting is possible. */
async function smallFileSystem(
  t: TestContext, mib = 4): Promise<(AsyncDisposable & { readonly path: string }) | undefined> {
  const folder = await temporaryFolder()
  const path = join(folder.path, 'small')
  await mkdir(path)
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${mib}m`, 'tmpfs', path])
  if (mounted.status !== 0) {
    await folder[Symbol.asyncDispose]()
    t.skip(`a small file system cannot be mounted: ${String(mounted.stderr).trim()}`)
    return undefined
  }
  await chmod(path, 0o700)
  return { path, [Symbol.asyncDispose]: async () => {
    spawnSync('umount', [path])
    await folder[Symbol.asyncDispose]()
  } }
}
