/** The Windows that the program runs on, with its VSS simulated: `host:` and `writers`. */

import assert from 'node:assert/strict'
import { hostname } from 'node:os'
import { suite, test } from 'node:test'
import type { FoundData, PlacesToLookAt } from '../consistency/mod.ts'
import { ntfsImage } from '../disk/testing/mod.ts'
import {
  HostBench, SQL_WRITER, sqlWriter, systemWriter, type VssScenario,
} from '../providers/testing/mod.ts'
import { createBench, type Bench } from './testing/bench.ts'

const NTFS = ntfsImage({ volumeFlags: 0, restartFlags: 2 })
const NAME = hostname().toLowerCase()
const FAILED_AT_FREEZE = 9
const NONRETRYABLE = 0x800423f4

function onHost(scenario: Partial<VssScenario> = {}): Bench & { readonly host: HostBench } {
  const host = new HostBench(scenario, () => NTFS.slice())
  return { ...createBench({ host }), host }
}

/** As SQL Server stands after another program's backup failed. */
const troubled: Partial<VssScenario> = { writers: [
  systemWriter(), sqlWriter({ left: { state: FAILED_AT_FREEZE, failure: NONRETRYABLE } })] }

suite('writers', () => {
  test('are listed with state, last error, ids and components, and nothing is held', async () => {
    const bench = onHost()
    const { code, stdout, stderr } = await bench.run('writers')
    assert.deepEqual([code, stderr], [0, ''])
    assert.equal(stdout, `\
writers of ${NAME}
  asked         through simulator, in a session of its own
  found         3 writers
  not in order  none

SqlServerWriter
  state       1 stable
  last error  none
  id          a65faa63-5ea8-4ebc-9dbd-a0c4db26912a
  instance    11111111-5ea8-4ebc-9dbd-a0c4db26912a
  kind        an application
  components  2
    HOST1\\master (database): C:\\sql\\
    HOST1\\sales (database): D:\\sql, D:\\log

System Writer
  state       1 stable
  last error  none
  id          e8132975-6f93-4464-a53e-1050253ae220
  instance    11111111-6f93-4464-a53e-1050253ae220
  kind        a part of Windows
  components  1
    System Files (filegroup): %SystemRoot%\\System32

NTDS
  state       1 stable
  last error  none
  id          b2014c9e-8711-4c5c-a5a9-3cf384484757
  instance    11111111-8711-4c5c-a5a9-3cf384484757
  kind        an application
  components  1
    C:_Windows_NTDS\\ntds (database): C:\\Windows\\NTDS
`)
    const told = bench.host.vss.journal.filter((line) => !line.startsWith('Identify'))
    assert.deepEqual(told.map((line) => line.split(' ')[0]),
      ['Create', 'SetContext', 'SetBackupState', 'Release',
        ...told.slice(4).map(() => 'BackupShutdown')])
  })

  test('one that is not in order is exit code 3, and programs are told what it was', async () => {
    const bench = onHost(troubled)
    const { code, stdout } = await bench.run('writers')
    assert.equal(code, 3)
    assert.match(stdout, /^ {2}not in order {2}SqlServerWriter$/m)
    assert.match(stdout, /^ {2}state {7}9 failed at freeze$/m)
    assert.match(stdout, /^ {2}last error {2}0x800423f4 WRITERERROR_NONRETRYABLE$/m)
    const { lines: [summary] } = await bench.runJson('writers')
    const [, writer] = (summary?.['writers'] ?? []) as readonly Record<string, unknown>[]
    const { components, ...rest } = writer ?? {}
    assert.deepEqual(rest, {
      writerId: SQL_WRITER, instanceId: '11111111-5ea8-4ebc-9dbd-a0c4db26912a',
      name: 'SqlServerWriter', state: 9, stateName: 'FAILED_AT_FREEZE', failure: '0x800423f4',
      ofWindows: false, inOrder: false })
    assert.deepEqual(components, [
      { type: 'database', path: 'HOST1\\master', caption: '', selectable: true,
        folders: ['C:\\sql\\'] },
      { type: 'database', path: 'HOST1\\sales', caption: '', selectable: true,
        folders: ['D:\\sql', 'D:\\log'] }])
  })

  test('cannot be asked without rights, and it is said what to do', async () => {
    const bench = onHost({ failures: [
      { step: 'GatherWriterMetadata', hresult: 0x80070005 }] })
    const { code, stderr } = await bench.run('writers')
    assert.equal(code, 1)
    assert.match(stderr, /E_ACCESSDENIED \(platform-refused\)/)
    assert.match(stderr, /do: Run it from an elevated shell/)
    assert.ok(bench.host.vss.journal.includes('Release'))
  })
})

suite('doctor of a host', () => {
  test('tells each writer, those in trouble first with what to do', async () => {
    const { stdout } = await onHost(troubled).run('doctor', '--on', 'host:')
    const shown = stdout.slice(stdout.indexOf('what host shows'), stdout.indexOf('\n\ndisks'))
    assert.equal(shown, `\
what host shows
  VSS                     asked through simulator
  volume c                C:\\, NTFS, 1.0 MiB
  volume d                D:\\, NTFS, 1.0 MiB
  writer SqlServerWriter  failed at freeze, last error 0x800423f4 WRITERERROR_NONRETRYABLE, \
2 components
    to change it: look for its events in the Application log, and restart the service it belongs to
  writer System Writer  stable, no error, 1 component`)
    assert.match(stdout, /^ {2}SqlServerWriter: application; the platform states it/m)
    assert.match(stdout, /^ {2}disk c +can be held still$/m)
    assert.match(stdout, /^a backup now would be: application /m)
  })
})

test('what doctor foretells is lowered by a volume that is left out, as a backup is', async () => {
  const host = new HostBench()
  const d = host.volumes.map((it) => it.mounts[0] === 'D:\\' ? { ...it, fileSystem: 'exFAT' } : it)
  host.volumes = d
  const { stdout } = await createBench({ host }).run('doctor', '--on', 'host:')
  assert.match(stdout, /^ {2}SqlServerWriter: NOT IN THIS POINT/m)
  assert.match(stdout, /^a backup now would be: filesystem /m)
})

suite('what has no writer on a host', () => {
  const access: FoundData = {
    name: 'Access database, open now, D:\\shop\\orders.accdb', kind: 'incidental',
    recovery: 'none', paths: ['D:\\shop\\orders.accdb'], advice: 'Close it.' }
  const postgres: FoundData = {
    name: 'PostgreSQL (service pg)', kind: 'protected', recovery: 'self', paths: ['D:\\pg'],
    advice: 'Dump it.' }

  function hostWith(...found: readonly FoundData[]): ReturnType<typeof onHost> {
    const bench = onHost()
    bench.host.volumes = bench.host.volumes.slice(0, 2)
    bench.host.findData = () => Promise.resolve(found)
    return bench
  }

  test('is named by doctor, by the backup and in its point', async () => {
    const bench = hostWith(access)
    const { stdout } = await bench.run('doctor', '--on', 'host:')
    assert.match(stdout, /^applications, as found by .* and a look through its disks$/m)
    assert.ok(stdout.includes(`\
  ${access.name}: filesystem; no writer, so its files are as after a crash, does not recover by \
itself (no service; it counts for no grade)
    what can be done: "Close it."
`), stdout)
    assert.match(stdout, /^a backup now would be: application /m)
    await bench.run('init')
    const backup = await bench.run('backup', '--on', 'host:')
    assert.match(backup.stdout, /orders\.accdb +filesystem; no writer/)
    assert.match(backup.stdout, /^grade: application\./m)
    const { lines } = await bench.runJson('show', 'latest')
    assert.match(JSON.stringify(lines), /orders\.accdb/)
  })

  test('lowers the host where it is a server, and is not covered where its volume is left out',
    async () => {
      const bench = hostWith(postgres)
      await bench.run('init')
      const { stdout } = await bench.run('backup', '--on', 'host:')
      assert.match(stdout, /^grade: filesystem\. .* No writer can tell PostgreSQL \(service pg\)/m)
      bench.host.volumes = bench.host.volumes.map((it) =>
        it.mounts[0] === 'D:\\' ? { ...it, fileSystem: 'exFAT' } : it)
      const doctor = await bench.run('doctor', '--on', 'host:')
      assert.match(doctor.stdout, /^ {2}PostgreSQL \(service pg\): NOT IN THIS POINT/m)
    })

  test('is looked for on every volume, with the services that run, or the reason why not',
    async () => {
      const bench = hostWith()
      const asked: PlacesToLookAt[] = []
      bench.host.findData = async (places) => {
        asked.push(places)
        return []
      }
      bench.host.services = [{ name: 'pg', command: 'pg_ctl.exe' }]
      await bench.run('doctor', '--on', 'host:')
      assert.deepEqual(asked, [{
        roots: ['C:\\', 'D:\\'], systemFolder: 'C:\\Windows', services: bench.host.services }])
    })
})

test('a host needs no agent', async () => {
  const { stdout } = await onHost().run('machines', '--on', 'host:')
  assert.match(stdout, /^\S+ +host +running +none needed +c 1\.0 MiB, d 1\.0 MiB\n$/m)
})

suite('backup of a host', () => {
  test('is a copy unless told otherwise, graded by its writers', async () => {
    const bench = onHost()
    await bench.run('init')
    const { code, stdout, stderr } = await bench.run('backup', '--on', 'host:')
    assert.equal(code, 3, stderr) // the volume of FAT is left out
    assert.match(stdout, /^grade: application\./m)
    assert.match(stdout, /^ {2}held +by the platform itself, which claims "application"$/m)
    assert.ok(bench.host.vss.journal.some((line) => / type=5 /.test(line)))
    assert.ok(!bench.host.vss.journal.some((line) => / type=1 /.test(line)))
    assert.doesNotMatch(stderr, /truncate/)
  })

  test('a full one says what follows from it before anything is touched, and is recorded',
    async () => {
      const bench = onHost()
      await bench.run('init')
      const notice = /--vss-type full: .* may truncate their logs.* SQL Server refer to it/
      const denied = await bench.run('backup', '--on', 'host:nothing', '--vss-type', 'full')
      assert.equal(denied.code, 2)
      assert.deepEqual(bench.host.vss.journal, [])
      assert.match(denied.stderr, notice)
      const { stderr } = await bench.run('backup', '--on', 'host:', '--vss-type', 'full')
      assert.match(stderr, notice)
      assert.ok(bench.host.vss.journal.some((line) => / type=1 /.test(line)))
      const { lines } = await bench.runJson('show', 'latest')
      assert.match(JSON.stringify(lines), /backup type full/)
    })

  test('the first is held to what doctor foretells of its writers', async () => {
    const failing = sqlWriter({ fails: { at: 'PostSnapshot', hresult: NONRETRYABLE } })
    const firstOf = async (scenario: Partial<VssScenario>, ...found: readonly FoundData[]) => {
      const bench = onHost(scenario)
      bench.host.volumes = bench.host.volumes.slice(0, 2)
      bench.host.findData = () => Promise.resolve(found)
      await bench.run('init')
      const { code, stdout } = await bench.run('backup', '--on', 'host:')
      const required = /(\w+) is required \(as predicted for its first backup\)/.exec(stdout)
      return [code, /^grade: (\w+)/m.exec(stdout)?.[1], required?.[1]]
    }
    const writers = [failing, systemWriter()]
    assert.deepEqual(await firstOf({}), [0, 'application', undefined])
    assert.deepEqual(await firstOf({ writers }), [3, 'filesystem', 'application'])
    // What is not foretold is not taken for less.
    const unasked = { step: 'GatherWriterMetadata', hresult: 0x80042315, times: 1 }
    assert.deepEqual(
      await firstOf({ writers, failures: [unasked] }), [3, 'filesystem', 'application'])
    const server: FoundData = { name: 'PostgreSQL (service pg)', kind: 'protected',
      recovery: 'self', paths: ['D:\\pg'], advice: '' }
    assert.deepEqual(await firstOf({ writers }, server), [0, 'filesystem', undefined])
  })

  test('leaves out what is said, which doctor shows before', async () => {
    const bench = onHost()
    const key = 'HKLM\\SYSTEM\\CurrentControlSet\\Control\\BackupRestore\\FilesNotToBackup'
    bench.host.registry.set(key, [{ key, name: 'Temporary Files', type: 'REG_MULTI_SZ',
      text: 'C:\\Temp\\* /s|%NOBODY%\\*', separator: '|' }])
    const wish = ['--leave-out', 'files-not-to-backup', '--leave-out', 'D:\\scratch\\*.tmp']
    const { stdout } = await bench.run('doctor', '--on', 'host:', ...wish)
    assert.match(stdout, /^ {2}left out +C:\\Temp\\\* \/s$/m)
    assert.match(stdout, /^ {2}left out +D:\\scratch\\\*\.tmp$/m)
    assert.match(stdout, /^ {2}NOT left out +%NOBODY%\\\*: a variable in it is not known$/m)
    await bench.run('init')
    assert.equal((await bench.run('backup', '--on', 'host:', ...wish)).code, 3) // FAT is left out
    for (const [word, why] of [
      ['temp', /neither files-not-to-snapshot/], ['C:\\*', /all of a volume/]] as const) {
      const { code, stderr } = await bench.run('backup', '--on', 'host:', '--leave-out', word)
      assert.equal(code, 2)
      assert.match(stderr, why)
    }
    const other = await bench.run('backup', '--on', 'qemu:qmp=/run/qmp', ...wish)
    assert.equal(other.code, 2)
    assert.match(other.stderr, /--leave-out is of --on host: alone/)
  })

  test('the type is of host: alone', async () => {
    const { code, stderr } = await onHost().run(
      'backup', '--on', 'qemu:qmp=/run/qmp', '--vss-type', 'copy')
    assert.equal(code, 2)
    assert.match(stderr, /--vss-type is of --on host: alone, and this machine is on qemu/)
  })
})

test('elsewhere than on Windows it is said what to use instead',
  { skip: process.platform === 'win32' }, async () => {
    for (const args of [['writers'], ['doctor', '--on', 'host:'], ['machines', '--on', 'host:'],
      ['backup', '--on', 'host:']]) {
      const { code, stderr } = await createBench().run(...args)
      assert.equal(code, 1, args.join(' '))
      assert.match(stderr, /host: backs up a Windows by its own shadow copies; this is linux/)
      assert.match(stderr, /do: Back up virtual machines here with --on libvirt.* restic/)
    }
  })
