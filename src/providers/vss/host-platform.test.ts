import assert from 'node:assert/strict'
import { hostname } from 'node:os'
import { test } from 'node:test'
import { systemClock as clock } from '../../base/clock.ts'
import { silentLog } from '../../base/log.ts'
import { systemRandom } from '../../base/random.ts'
import { HostBench } from '../testing/mod.ts'
import { hostPlatform, openHostPlatform } from './host-platform.ts'
import { parseHostServices } from './host-services.ts'
import { parseHostVolumes, readHostVolumes } from './host-volumes.ts'

const signal = new AbortController().signal
const NAME = '\\\\?\\Volume{c0c0c0c0-0000-4000-8000-0000000000c1}\\'
const volume = (more: object = {}): object => ({
  name: NAME, mounts: ['C:\\', 'D:\\data'], letter: 'C:', fileSystem: 'NTFS', capacity: 4096,
  partitionSize: 8192, ...more })
const answer = (...volumes: readonly object[]): Uint8Array =>
  new TextEncoder().encode(JSON.stringify({ ok: true, volumes }))

test('volumes are read as large as their partitions, with every place they are mounted at', () => {
  assert.deepEqual(parseHostVolumes(answer(volume())), [
    { name: NAME, sizeBytes: 8192, fileSystem: 'NTFS', mounts: ['C:\\', 'D:\\data\\'] }])
  assert.deepEqual(parseHostVolumes(answer(volume(
    { partitionSize: null, letter: null, mounts: [], fileSystem: null }))), [
    { name: NAME, sizeBytes: 4096, fileSystem: '', mounts: [] }])
  assert.deepEqual(parseHostVolumes(answer(
    volume({ name: 'C:\\' }), volume({ capacity: 0, partitionSize: null }))), [])
})

test('what is no list of volumes is a fault', () => {
  const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
  assert.throws(() => parseHostVolumes(bytes('{"ok":false,"message":"denied"}')),
    { code: 'platform-refused', message: /denied/ })
  for (const text of ['', 'x', '{}', '{"ok":true}', '{"ok":true,"volumes":[{}]}',
    '{"ok":true,"volumes":[{"name":"x","mounts":[],"letter":1}]}']) {
    assert.throws(() => parseHostVolumes(bytes(text)), { code: 'platform-protocol' }, text)
  }
})

test('services are read as they are, and what is no list of them is a fault', () => {
  const bytes = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value))
  const services = [{ name: 'pg', command: '"C:\\pg_ctl.exe" runservice' }]
  assert.deepEqual(parseHostServices(bytes({ ok: true, services })), services)
  assert.throws(() => parseHostServices(bytes({ ok: false, message: 'denied' })),
    { code: 'platform-refused', message: /denied/ })
  for (const value of [{}, 'x', { ok: true }, { ok: true, services: [{ name: 1 }] }]) {
    assert.throws(() => parseHostServices(bytes(value)), { code: 'platform-protocol' })
  }
})

test('the list comes from a program that is asked once', async () => {
  const stub = { program: process.execPath, args: ['--input-type=module', '-e',
    `console.log(${JSON.stringify(Buffer.from(answer(volume())).toString())})`, '--'] }
  const [found] = await readHostVolumes(stub, clock, signal)
  assert.equal(found?.sizeBytes, 8192)
  await assert.rejects(readHostVolumes({ program: '/no/such', args: [] }, clock, signal),
    { code: 'program-missing' })
})

test('the host is one machine, and its volumes are its disks', async () => {
  const platform = hostPlatform({}, new HostBench().ports)
  const name = hostname().toLowerCase()
  assert.deepEqual((await platform.machines(signal)).map((it) =>
    [it.name, it.disks.map(({ id }) => id)]), [[name, ['c', 'd']]])
  const { machine } = await platform.describe(name, signal)
  assert.deepEqual([machine.platform, machine.disks.length], ['host', 2])
  assert.throws(() => platform.provider('other'), { code: 'machine-not-found' })
})

test('there is none but on Windows', { skip: process.platform === 'win32' }, async () => {
  const context = { clock, random: systemRandom, log: silentLog }
  await assert.rejects(openHostPlatform({}, async () => [], context),
    { code: 'unsupported', message: /^host: backs up a Windows /, advice: /libvirt.*restic/ })
})
