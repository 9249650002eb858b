import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { systemClock } from '../../../base/clock.ts'
import { silentLog } from '../../../base/log.ts'
import { siblingModule } from '../../../base/worker.ts'
import {
  DATA_VOLUME, ImpatientClock, openDiskshadowBench, sampleHost, sampleRequest, SQL_WRITER,
  sqlWriter, SYSTEM_VOLUME, systemWriter, type VssBench, vssTransportContract,
} from '../../testing/mod.ts'
import type { SessionRequest } from '../session/attempt.ts'
import { isVssFault, VSS_E } from '../session/hresult.ts'
import { VssSession } from '../session/session.ts'
import { CONTEXT } from '../session/transport.ts'
import { lastFailure, readCopies, readWriters } from './output.ts'
import { snapshotScript } from './script.ts'

const signal = new AbortController().signal

function make(bench: VssBench, more: Partial<SessionRequest> = {}): Promise<VssSession> {
  return VssSession.make(sampleRequest(more),
    { transport: bench.transport, clock: systemClock, log: silentLog }, signal)
}

const setup = (backupType: 'copy' | 'full', context: number = CONTEXT.BACKUP):
  SessionRequest['setup'] => ({ context, backupType, bootableSystemState: false })

// In the language that is not the one of the documentation; whole sessions are in both below.
vssTransportContract('a stub of diskshadow that speaks German',
  (scenario) => openDiskshadowBench(scenario, 'de'), { inOneGo: true })

suite('diskshadow, a stub of it', () => {
  for (const language of ['en', 'de'] as const) {
    test(`a session sees the same whatever the language: ${language}`, async () => {
      await using bench = await openDiskshadowBench(sampleHost(), language)
      {
        await using session = await make(bench, { setup: setup('full') })
        assert.equal(session.statusOf, 'unsure')
        assert.deepEqual(session.writers.map((it) =>
          [it.writerId === SQL_WRITER, it.added.length, it.leftOut.length, it.afterSnapshot]), [
          [true, 2, 0, { state: 5, failure: 0 }], [false, 1, 0, { state: 5, failure: 0 }],
          [false, 1, 0, { state: 5, failure: 0 }]])
        assert.deepEqual(session.snapshots.map(({ originalVolume }) => originalVolume),
          [SYSTEM_VOLUME, DATA_VOLUME])
        assert.match(session.snapshots[0]?.device ?? '', /HarddiskVolumeShadowCopy\d+$/)
        await session.complete(signal)
      }
      const journal = await bench.journal()
      assert.ok(journal.includes(`BackupComplete ${SQL_WRITER}`))
      assert.ok(journal.includes('SetBackupState components=1 bootable=0 type=1 partial=0'))
      assert.deepEqual(await readdir(bench.folder),
        ['scenario.json', 'scenario.json.count', 'scenario.json.journal'])
    })
  }

  test('a copy is made without "begin backup", and tells writers of no completion', async () => {
    await using bench = await openDiskshadowBench(sampleHost(), 'de')
    {
      await using session = await make(bench)
      await session.complete(signal)
    }
    const journal = await bench.journal()
    assert.ok(journal.includes('SetBackupState components=1 bootable=0 type=5 partial=0'))
    assert.ok(!journal.some((line) => line.startsWith('BackupComplete')))
  })

  test('without the seal nothing behind the holder is done', async () => {
    await using bench = await openDiskshadowBench(sampleHost(), 'en')
    {
      await using session = await make(bench, { setup: setup('full') })
      assert.equal(session.snapshots.length, 2)
    }
    const journal = await bench.journal()
    assert.ok(!journal.some((line) => line.startsWith('BackupComplete')))
    assert.equal(journal.at(-1)?.split(' ')[0], 'BackupShutdown')
  })

  test('a set without writers says so itself', async () => {
    await using bench = await openDiskshadowBench(sampleHost(), 'de')
    await using session = await make(bench, { setup: setup('copy', CONTEXT.FILE_SHARE_BACKUP) })
    assert.ok(session.snapshots.every(({ attributes }) => (attributes & 0x10) !== 0))
  })

  test('a writer that vetoes is the code that diskshadow prints', async () => {
    const fails = { at: 'Freeze', hresult: VSS_E.WRITERERROR_NONRETRYABLE } as const
    await using bench = await openDiskshadowBench(
      sampleHost({ writers: [sqlWriter({ fails }), systemWriter()] }), 'de')
    await assert.rejects(make(bench), (error) => isVssFault(error, VSS_E.UNEXPECTED_WRITER_ERROR))
    assert.equal((await bench.journal()).at(-1)?.split(' ')[0], 'BackupShutdown')
  })

  test('what may be redone is redone', async () => {
    const failures = [
      { step: 'DoSnapshotSet', hresult: VSS_E.SNAPSHOT_SET_IN_PROGRESS, times: 1 }]
    await using bench = await openDiskshadowBench(sampleHost({ failures }), 'en')
    const clock = new ImpatientClock()
    await using session = await VssSession.make(sampleRequest(),
      { transport: bench.transport, clock, log: silentLog }, signal)
    assert.deepEqual([session.snapshots.length, clock.slept.filter((ms) => ms > 1000)], [2, [5000]])
  })

  test('a promised writer that would not be in the set keeps it from being made', async () => {
    await using bench = await openDiskshadowBench(sampleHost(), 'en')
    await assert.rejects(make(bench, { volumes: [SYSTEM_VOLUME] }), (error) => isVssFault(error))
    assert.ok(!(await bench.journal()).some((line) => line.startsWith('Freeze')))
  })

  test('killed, the requestor takes the set with it and completes nothing', async () => {
    await using bench = await openDiskshadowBench(sampleHost(), 'en')
    const options = join(bench.folder, 'options.json')
    await writeFile(options, JSON.stringify({ diskshadow: bench.diskshadow, folder: bench.folder }))
    const child = spawn(process.execPath,
      [siblingModule('../../testing/vss/hold-diskshadow', import.meta), options],
      { stdio: ['ignore', 'pipe', 'inherit'] })
    await once(child.stdout, 'data') // the set is there
    child.kill('SIGKILL')
    await once(child, 'close')
    const endMs = systemClock.monotonicMs() + 60_000
    let journal = await bench.journal()
    while (journal.length === 0 && systemClock.monotonicMs() < endMs) {
      await systemClock.sleep(20, signal)
      journal = await bench.journal()
    }
    assert.ok(journal.includes('Release'), journal.join('\n'))
    assert.ok(!journal.some((line) => line.startsWith('BackupComplete')))
  })
})

test('lists are read by numbers and GUIDs, in any words and any code page', () => {
  const id = 'e8132975-6f93-4464-a53e-1050253ae220'
  const list = (head: string, words: readonly string[]): string => `${head}\r\n` +
    `  * ${words[0]} "${words[1]}"\r\n   - ${words[2]}: 9 (VSS_WS_FAILED_AT_FREEZE)\r\n` +
    `   - ${words[3]}: 0x800423F3 (x)\r\n   - ${words[4]}: {${id.toUpperCase()}}\r\n` +
    `   - ${words[5]}: {${id}}\r\n`
  for (const text of [
    list('Listing writer status ...', ['WRITER', 'System Writer', 'Status', 'Writer Failure code',
      'Writer ID', 'Instance ID']),
    list('\u0393\u0393', ['\u30e9', 'System Writer', '\u72b6', '\u30b3', '\u8b58', '\u8b58']),
  ]) {
    assert.deepEqual(readWriters(text), [{
      writerId: id, instanceId: id, name: 'System Writer', state: 9, failure: 0x800423f3 }])
  }
  // As in the newer edition of Microsoft's page: no quotes round the name.
  assert.equal(readWriters(list('', ['WRITER', 'x', 'a', 'b', 'c', 'd']).replaceAll('"', ''))[0]
    ?.name, 'x')
  assert.deepEqual(readWriters('* WRITER "x"\r\n - Status: 5\r\n'), [])
  assert.throws(() => readCopies(`* x = {${id}} %SP1%\r\n - nothing else`),
    { code: 'platform-protocol' })
  assert.equal(lastFailure('0x00000000 0x80042306 (x) 0x8004230f.'), 0x8004230f)
  assert.equal(lastFailure('no code, 0x1'), undefined)
})

test('the script has nothing in it but what was asked', () => {
  const request = {
    setup: setup('full'), volumes: ['C:\\', DATA_VOLUME], required: [SQL_WRITER],
    cabinet: 'C:\\t\\d.cab', holder: 'C:\\t\\hold.cmd' }
  assert.deepEqual(snapshotScript(request).split('\r\n'), [
    'set context volatile', 'set metadata "C:\\t\\d.cab"', 'set verbose on', 'begin backup',
    `writer verify {${SQL_WRITER}}`, 'add volume C:\\ alias SP1',
    `add volume ${DATA_VOLUME} alias SP2`, 'create', 'list writers status',
    'exec "C:\\t\\hold.cmd"', 'end backup', 'exit', ''])
  const copy = snapshotScript({ ...request, setup: setup('copy', CONTEXT.FILE_SHARE_BACKUP) })
  assert.doesNotMatch(copy, /begin backup|end backup|list writers/)
  assert.match(copy, /^set context volatile nowriters\r\n/)
  for (const volume of ['', 'C:', 'C:\\ alias x\r\nexec y', '\\\\nas\\x\\', 'C:\\data\\']) {
    assert.throws(() => snapshotScript({ ...request, volumes: [volume] }), { code: 'usage' })
  }
  assert.throws(() => snapshotScript({ ...request, cabinet: 'a"b' }), { code: 'usage' })
})
