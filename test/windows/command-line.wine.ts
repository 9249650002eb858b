/** The program itself as a user of Windows starts it: its commands against the test's VSS. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import * as koffi from 'koffi'
import { othersOf } from '../../src/base/own-files.ts'
import { ntfsImage } from '../../src/disk/testing/mod.ts'
import { sampleHost, SQL_WRITER, sqlWriter, systemWriter } from '../../src/providers/testing/mod.ts'
import { heard, placeFor, stillpoint } from './program.ts'
import { devicesLeft, startTestHost } from './test-host.ts'

const NONRETRYABLE = 0x800423f4
const NTFS = ntfsImage({ volumeFlags: 0, restartFlags: 2 })

test('writers lists what VSS says, and leaves no session open', async () => {
  await using host = await startTestHost(sampleHost())
  const { code, stdout, stderr } = await stillpoint(['writers', '--json'])
  assert.deepEqual([code, stderr], [0, ''], stdout)
  const { transport, writers } = JSON.parse(stdout) as {
    transport: string
    writers: { name: string; state: number; failure: string; components: { path: string }[] }[]
  }
  assert.equal(transport, 'koffi')
  assert.deepEqual(writers.map(({ name, state, failure, components }) =>
    [name, state, failure, components.map(({ path }) => path)]), [
    ['SqlServerWriter', 1, '0x00000000', ['HOST1\\master', 'HOST1\\sales']],
    ['System Writer', 1, '0x00000000', ['System Files']],
    ['NTDS', 1, '0x00000000', ['C:_Windows_NTDS\\ntds']]])
  const journal = await host.journal()
  assert.deepEqual(journal.filter(([, kind]) => kind === 'out of order'), [])
  assert.ok(!journal.some(([, , name]) => name === 'PrepareForBackup'))
  assert.equal(journal.at(-1)?.[1], 'end')
})

test('backup keeps the volumes, and tells writers that it is complete behind the seal',
  async (t) => {
    const { folder, env } = await placeFor(t, NTFS.length)
    await using host = await startTestHost(sampleHost(), [], () => NTFS)
    const init = await stillpoint(['init'], env)
    assert.equal(init.code, 0, init.stderr)
    const doctor = await stillpoint(['doctor', '--on', 'host:'], env)
    assert.match(doctor.stdout, /^a backup now would be: application /m, doctor.stderr)
    const { code, stdout, stderr } = await stillpoint(['backup', '--on', 'host:'], env)
    assert.equal(code, 0, `${stdout}${stderr}`)
    assert.match(stdout, /^grade: application\./m)
    t.diagnostic(stdout)
    const journal = await host.journal()
    assert.deepEqual(heard(journal, SQL_WRITER).slice(-8), [
      'Identify', 'PrepareForBackup', 'PrepareForSnapshot', 'Freeze', 'Thaw', 'PostSnapshot',
      'BackupComplete', 'BackupShutdown'])
    assert.deepEqual(journal.filter(([, kind]) => kind === 'out of order'), [])
    assert.deepEqual(devicesLeft(), [])
    const to = join(folder, 'restored')
    const restored = await stillpoint(['restore', 'latest', '--to', to], env)
    assert.equal(restored.code, 0, restored.stderr)
    for (const id of ['c', 'd']) {
      assert.ok(Buffer.from(NTFS).equals(await readFile(join(to, `${id}.raw`))), id)
    }
  })

test('doctor names files and services without a writer on the volumes', async (t) => {
  const shop = await mkdtemp('C:\\shop-')
  t.after(() => rm(shop, { recursive: true, force: true, maxRetries: 5 }))
  for (const name of ['orders.accdb', 'Orders.laccdb', 'archive.pst', 'app.db']) {
    await writeFile(join(shop, name), '')
  }
  await writeFile(join(shop, 'app.db-wal'), Buffer.from('377f0682', 'hex'))
  await using _host = await startTestHost(sampleHost(), [], () => NTFS)
  const { env } = await placeFor(t, NTFS.length, [
    { name: 'pg', command: `"C:\\pg\\bin\\pg_ctl.exe" runservice -D "${shop}\\data" -w` },
    { name: 'MSSQLSERVER', command: '"C:\\sql\\sqlservr.exe" -sMSSQLSERVER' }])
  const { code, stdout, stderr } = await stillpoint(['doctor', '--on', 'host:', '--json'], env)
  assert.equal(code, 0, stderr)
  t.diagnostic(stdout)
  const { applications } = JSON.parse(stdout) as {
    applications: { name: string; kind: string; grade: string; reason: string | null }[] }
  const mine = applications.filter(({ name }) => name.includes(shop) || name.includes('service'))
  assert.deepEqual(mine.map(({ name, kind, grade }) => [name, kind, grade]), [
    ['PostgreSQL (service pg)', 'protected', 'filesystem'],
    [`Access database, open now, ${shop}\\orders.accdb`, 'incidental', 'filesystem'],
    [`Outlook data file ${shop}\\archive.pst`, 'incidental', 'filesystem'],
    [`SQLite database ${shop}\\app.db`, 'incidental', 'filesystem']])
})

test('key and configuration lie in a folder of ProgramData that is closed to others', async (t) => {
  await using _host = await startTestHost(sampleHost(), [], () => NTFS)
  const { folder, env } = await placeFor(t, NTFS.length)
  const own = join(folder, 'Stillpoint')
  const init = await stillpoint(['init'], env)
  assert.equal(init.code, 0, init.stderr)
  const closed = { mayRead: [], mayWrite: [] }
  for (const path of [own, join(own, 'evidence.key')]) {
    assert.deepEqual(await othersOf(path), closed, path)
  }
  await writeFile(join(own, 'stillpoint.yaml'), 'platforms: { here: { type: host } }\n')
  const config = join(folder, 'named.yaml')
  await writeFile(config, '')
  const found = await stillpoint(['doctor', 'here'], env)
  assert.match(found.stdout, /^a backup now would be: application /m, found.stderr)
  openToEverybody(join(own, 'stillpoint.yaml'))
  openToEverybody(join(own, 'evidence.key'))
  const refused = await stillpoint(['doctor', 'here'], env)
  assert.match(refused.stderr, /may be changed by others of this host \(WD\), so it is not/)
  assert.match(refused.stderr, /do: Take that right away: icacls/)
  const unsigned = await stillpoint(['backup', '--on', 'host:', '--config', config], env)
  assert.equal(unsigned.code, 1)
  assert.match(unsigned.stderr, /evidence\.key may be read by others of this host \(WD\)/)
})

function openToEverybody(path: string): void {
  const advapi = koffi.load('advapi32.dll')
  const descriptor: unknown[] = [null]
  const convert = advapi.func(
    'int __stdcall ConvertStringSecurityDescriptorToSecurityDescriptorW(' +
    'str16 text, uint32 revision, _Out_ void **sd, void *size)')
  convert('D:(A;;FA;;;WD)', 1, descriptor, null)
  const isSet: unknown = advapi.func(
    'int __stdcall SetFileSecurityW(str16 name, uint32 what, void *sd)')(path, 4, descriptor[0])
  assert.notEqual(isSet, 0)
}

test('lists of the registry are read by reg.exe, and named by doctor', async (t) => {
  const key = 'HKLM\\SYSTEM\\CurrentControlSet\\Control\\BackupRestore\\FilesNotToSnapshot'
  const reg = (...args: readonly string[]): void => {
    const { status, stdout, stderr } = spawnSync('reg.exe', args, { encoding: 'utf8' })
    assert.equal(status, 0, `${stdout}${stderr}`)
  }
  reg('add', key, '/v', 'OutlookOST', '/t', 'REG_MULTI_SZ', '/s', '|', '/f', '/d',
    '$UserProfile$\\AppData\\*.ost|$AllVolumes$\\Temp\\* /s|%NOBODY%\\x')
  t.after(() => reg('delete', key, '/f'))
  await using _host = await startTestHost(sampleHost(), [], () => NTFS)
  const { env } = await placeFor(t, NTFS.length)
  const { code, stdout, stderr } = await stillpoint(
    ['doctor', '--on', 'host:', '--leave-out', 'files-not-to-snapshot', '--json'], env)
  assert.equal(code, 0, stderr)
  const { remarks } = JSON.parse(stdout) as { remarks: { name: string; says: string }[] }
  assert.deepEqual(remarks.filter(({ name }) => name.endsWith('left out'))
    .map(({ name, says }) => `${name}: ${says}`), [
    'left out: $UserProfile$\\AppData\\*.ost', 'left out: $AllVolumes$\\Temp\\* /s',
    'NOT left out: %NOBODY%\\x: a variable in it is not known'])
})

test('a writer that fails lowers its application, and is not told of a full backup as a good one',
  async (t) => {
    const { folder, env } = await placeFor(t, NTFS.length)
    await using host = await startTestHost(sampleHost({ writers: [
      sqlWriter({ fails: { at: 'PostSnapshot', hresult: NONRETRYABLE } }), systemWriter()] }), [],
    () => NTFS)
    assert.equal((await stillpoint(['init'], env)).code, 0)
    const config = join(folder, 'stillpoint.yaml')
    await writeFile(config, 'platforms: { here: { type: host } }\n')
    const { code, stderr } = await stillpoint(['--config', config, 'backup', 'here',
      '--vss-type', 'full', '--require', 'application', '--on-weaker', 'fail'], env)
    assert.equal(code, 3, stderr)
    assert.match(stderr, /^--vss-type full: .* may truncate their logs/m)
    const events = heard(await host.journal(), SQL_WRITER)
    assert.ok(events.includes('PostSnapshot') && !events.includes('BackupComplete'))
    assert.deepEqual(devicesLeft(), [])
  })
