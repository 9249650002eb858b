/** What QEMU says of a machine, read from a fake that says it. */

import assert from 'node:assert/strict'
import { chmod, mkdir, stat, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { systemClock } from '../../base/clock.ts'
import { FakeQmpServer, temporaryFolder } from '../testing/mod.ts'
import { sanitise } from '../machine/disk-names.ts'
import { withoutSecrets } from '../machine/secrets.ts'
import { discoverDisks } from './disks.ts'
import { agentChannel } from './guest-agent.ts'
import { runNames } from '../machine/run-names.ts'
import { powerOf } from './power.ts'
import { QmpClient } from './qmp-client.ts'
import { ask } from './qmp-replies.ts'
import { defaultRunDir, ensureRunDir } from '../machine/run-dir.ts'

const signal = new AbortController().signal

test('each run state is a power or a fault with advice', async () => {
  await using folder = await temporaryFolder()
  await using qmp = await FakeQmpServer.start(join(folder.path, 'qmp'))
  await using client = await QmpClient.connect(qmp.path, systemClock, signal)
  const rows = [
    ['running', 'running'], ['paused', 'paused'], ['prelaunch', 'paused'], ['debug', 'paused'],
    ['suspended', 'paused'], ['shutdown', 'off'],
  ] as const
  for (const [status, power] of rows) {
    qmp.status = status
    assert.equal(await powerOf(client, signal), power)
  }
  for (const status of ['io-error', 'preconfig', 'guest-panicked', 'inmigrate', 'anything']) {
    qmp.status = status
    await assert.rejects(powerOf(client, signal), { code: 'machine-not-ready' })
  }
})

test('an answer of another shape is a protocol fault', async () => {
  await using folder = await temporaryFolder()
  await using qmp = await FakeQmpServer.start(join(folder.path, 'qmp'))
  await using client = await QmpClient.connect(qmp.path, systemClock, signal)
  for (const answer of [null, [], {}, { status: 1, running: true }, 'paused']) {
    qmp.handlers.set('query-status', () => answer)
    await assert.rejects(ask(client, 'query-status', signal), { code: 'platform-protocol' })
  }
})

test('the agent\u2019s channel is told apart by what QEMU knows of it', async () => {
  await using folder = await temporaryFolder()
  await using qmp = await FakeQmpServer.start(join(folder.path, 'qmp'))
  await using client = await QmpClient.connect(qmp.path, systemClock, signal)
  const real = join(folder.path, 'qga')
  const link = join(folder.path, 'link')
  await mkdir(real)
  await symlink(real, link)
  const rows = [
    [`disconnected:unix:${real},server=on`, true, 'free'],
    [`disconnected:unix:${real},server=on`, false, 'unopened'],
    [`unix:${real},server=on`, true, 'held'],
    [`unix:${real}`, false, 'held'],
    ['disconnected:unix:/other,server=on', true, 'unknown'],
    ['pty:/dev/pts/1', true, 'unknown'],
  ] as const
  for (const [filename, open, channel] of rows) {
    qmp.handlers.set('query-chardev', () => [
      { label: 'm', filename: 'mux', 'frontend-open': true },
      { label: 'a', filename, 'frontend-open': open }])
    assert.equal(await agentChannel(client, link, signal), channel, filename)
  }
})

/** A machine with two disks on one controller, of which the second is passed through. */
function serveDisks(qmp: FakeQmpServer, controllerBus: string): void {
  const properties: Record<string, Record<string, unknown>> = {
    '/machine/peripheral/a': {
      type: 'scsi-hd', drive: 'n0', parent_bus: '/machine/peripheral/c/scsi.0', 'scsi-id': 0,
      lun: 0 },
    '/machine/peripheral/b': {
      type: 'scsi-block', parent_bus: '/machine/peripheral/c/scsi.0', 'scsi-id': 0, lun: 1 },
    '/machine/peripheral/c': { type: 'virtio-scsi-device', parent_bus: controllerBus, addr: 40 },
    '/machine/peripheral': {},
    '/machine/peripheral-anon': {},
  }
  const of = ({ path }: Readonly<Record<string, unknown>>): Record<string, unknown> =>
    properties[String(path)] ?? {}
  const inserted = (node: string): object => ({
    'node-name': node, drv: 'raw', ro: false, file: 'f', image: { 'virtual-size': 1024 } })
  qmp.handlers.set('query-version', () => ({
    qemu: { major: 10, minor: 0, micro: 0 }, package: '' }))
  qmp.handlers.set('query-pci', () => [])
  qmp.handlers.set('query-block', () => ['a', 'b'].map((qdev, i) => ({
    device: '', qdev, removable: false, inserted: inserted(`n${i}`) })))
  qmp.handlers.set('qom-list', (args) =>
    Object.keys(of(args)).map((name) => ({ name, type: 'string' })))
  qmp.handlers.set('qom-get', (args) => of(args)[String(args['property'])] ?? null)
}

test('disks that are left out have an address too', async () => {
  await using folder = await temporaryFolder()
  await using qmp = await FakeQmpServer.start(join(folder.path, 'qmp'))
  await using client = await QmpClient.connect(qmp.path, systemClock, signal)
  serveDisks(qmp, '/machine/q35/pcie.0')
  const { disks, leftOut, addresses } = await discoverDisks(client, signal)
  assert.deepEqual([disks.map(({ id }) => id), leftOut.map(({ id }) => id)], [['a'], ['b']])
  assert.deepEqual(addresses.map(({ id, pci, lun }) => [id, pci, lun]), [
    ['a', { bus: 0, slot: 5, function: 0 }, 0], ['b', { bus: 0, slot: 5, function: 0 }, 1]])
})

test('controllers that are behind themselves end in a fault', async () => {
  await using folder = await temporaryFolder()
  await using qmp = await FakeQmpServer.start(join(folder.path, 'qmp'))
  await using client = await QmpClient.connect(qmp.path, systemClock, signal)
  serveDisks(qmp, '/machine/peripheral/c/itself')
  qmp.handlers.set('qom-get', (args) => args['property'] === 'parent_bus'
    ? '/machine/peripheral/c/itself' : args['property'] === 'type' ? 'virtio-blk' : null)
  await assert.rejects(discoverDisks(client, signal), { code: 'platform-protocol' })
})

test('secrets in what QEMU says are masked, by key and inside URLs', () => {
  assert.deepEqual(
    withoutSecrets({
      name: 'x', 'password-secret': 'sec0', 'key-secret': 's', password: ['a'], encrypted: true,
      'backing-file': 'https://u:hunter2@host/disk.qcow2', list: [{ token: 't', keys: 3 }],
      monkey: 'ape', 'has-password': false,
    }),
    {
      name: 'x', 'password-secret': '***', 'key-secret': '***', password: '***', encrypted: true,
      'backing-file': 'https://u:***@host/disk.qcow2', list: [{ token: '***', keys: 3 }],
      monkey: 'ape', 'has-password': false,
    })
})

test('names fit into QEMU\u2019s 31 characters and tell the run', () => {
  const names = runNames('01234567-89ab-4def-8123-456789abcdef')
  assert.equal(names.run, '01234567')
  assert.ok(names.access(999_999).length <= 31)
  assert.match(runNames('a point of another kind').run, /^[0-9a-f]{8}$/)
  assert.notEqual(runNames('one').prefix, runNames('two').prefix)
})

test('foreign names become disk ids that are safe as names of folders', () => {
  const rows = [
    ['virtio-disk0', 'virtio-disk0'], ['Root Disk', 'root-disk'], ['../etc', '---etc'],
    ['..', 'disk--'], ['', 'disk'], ['\u00e9\u001b[31m', '---31m'],
    ['x'.repeat(99), 'x'.repeat(60)], ['.hidden', '-hidden'], ['.'.repeat(99), /^disk-{56}$/],
    ['\u0130'.repeat(99), 'i-'.repeat(30)],
  ] as const
  for (const [name, id] of rows) {
    if (typeof id === 'string') assert.equal(sanitise(name), id)
    else assert.match(sanitise(name), id)
    assert.match(sanitise(name), /^[a-z0-9_-][a-z0-9._-]{0,59}$/)
  }
})

test('the run directory is ours alone, and one that others may write is refused', async () => {
  await using folder = await temporaryFolder()
  const path = join(folder.path, 'deep', 'run')
  await ensureRunDir(path)
  await ensureRunDir(path)
  assert.equal((await stat(path)).mode & 0o777, 0o700)
  const open = join(folder.path, 'open')
  await mkdir(open)
  await chmod(open, 0o777)
  await assert.rejects(ensureRunDir(open), { code: 'io-error', message: /not ours alone/ })
  assert.equal(defaultRunDir(5), '/run/user/5/stillpoint')
  assert.equal(defaultRunDir(0), '/run/stillpoint')
})
