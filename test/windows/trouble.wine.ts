/** Trouble as only a real vssapi.dll makes it: slow calls, time-outs, hangs, refusals. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock, systemClock as clock, type Clock } from '../../src/base/clock.ts'
import { silentLog } from '../../src/base/log.ts'
import type { LongestTurn } from '../../src/base/turns.ts'
import {
  DATA_VOLUME, ImpatientClock, largeWriter, MAX_TURN_MS, sampleHost,
  sampleRequest, sqlWriter, SQL_WRITER, SYSTEM_VOLUME, systemWriter,
} from '../../src/providers/testing/mod.ts'
import { KoffiTransport } from '../../src/providers/vss/native/koffi-transport.ts'
import { isVssFault, VSS_E } from '../../src/providers/vss/session/hresult.ts'
import { VssSession } from '../../src/providers/vss/session/session.ts'
import { COPY, prepared, wholeBackup } from './backup-steps.ts'
import { braced, devicesLeft, startTestHost, type TestHost } from './test-host.ts'

const signal = new AbortController().signal
const SQL_ONLY = sampleHost({ writers: [sqlWriter()] })

for (const [size, writer] of [['small', sqlWriter()], ['2 MB', largeWriter()]] as const) {
  test(`no turn of a requestor's event loop is long, documents ${size}`, async (t) => {
    await using host = await startTestHost(sampleHost({ writers: [writer, systemWriter()] }), [
      'step\tDoSnapshotSet\t1000',
      'block\tGetWriterMetadata\t200',
    ])
    let longest: LongestTurn | undefined
    const transport = new KoffiTransport({
      clock, onReleased: (longestTurn) => { longest = longestTurn } })
    await wholeBackup(transport, signal)
    t.diagnostic(`longest turn: ${longest?.cpuMs} ms of the processor, ${
      longest?.wallMs} ms by the clock`)
    assert.ok(longest !== undefined && longest.cpuMs < MAX_TURN_MS, `${longest?.cpuMs} ms`)
    // What waits uses no processor: no method of VSS is called on the loop's thread.
    const journal = await host.journal()
    assert.deepEqual(journal.filter(([, , name]) => name === ON_THE_LOOP), [])
    assert.ok(journal.length > 50)
  })
}
/** What the test's vssapi.dll notes of a call on the thread that loaded it. */
const ON_THE_LOOP = "called on the event loop's thread"

test('the order of a session, by the journal of VSS', async () => {
  await using host = await startTestHost(SQL_ONLY)
  const session = await VssSession.make(
    sampleRequest(), { transport: new KoffiTransport({ clock }), clock, log: silentLog }, signal)
  await session.complete(signal)
  await session[Symbol.asyncDispose]()
  const journal = await host.journal()
  assert.deepEqual(journal.filter(([, word]) => word !== 'answered' && word !== 'finished')
    .map(([, word = '', name = '']) => word === 'call' || word === 'event' ? name : word), [
    'ready', 'CreateVssBackupComponents', 'InitializeForBackup', 'SetContext', 'SetBackupState',
    'GatherWriterMetadata', 'Identify', 'GetWriterMetadataCount', 'GetWriterMetadata',
    'FreeWriterMetadata', 'AddComponent', 'AddComponent', 'StartSnapshotSet',
    'IsVolumeSupported', 'AddToSnapshotSet', 'IsVolumeSupported', 'AddToSnapshotSet',
    'PrepareForBackup', 'PrepareForBackup', ...STATUS,
    'DoSnapshotSet', 'PrepareForSnapshot', 'Freeze', 'hold', 'shadow copy made',
    'shadow copy made', 'release', 'Thaw', 'PostSnapshot', ...STATUS,
    'GetSnapshotProperties', 'GetSnapshotProperties', 'SaveAsXML',
    'SetBackupSucceeded', 'SetBackupSucceeded', 'BackupComplete', 'BackupComplete', ...STATUS,
    'Release', 'BackupShutdown', 'shadow copy deleted', 'shadow copy deleted', 'end'])
  assert.deepEqual(journal.at(-1)?.slice(1), ['end', 'released', 'complete',
    '0 shadow copies left'])
})
const STATUS = ['GatherWriterStatus', 'GetWriterStatusCount', 'GetWriterStatus', 'FreeWriterStatus']

for (const [at, state] of [['PrepareForBackup', 7], ['PrepareForSnapshot', 8], ['Freeze', 9],
  ['Thaw', 10], ['PostSnapshot', 11]] as const) {
  test(`a writer that runs out of time at ${at} is told by VSS, and Abort is sent`, async () => {
    await using host = await startTestHost(SQL_ONLY, [
      ['at', braced(SQL_WRITER), at, 'timeout'].join('\t')])
    await using backup = await new KoffiTransport({ clock }).open(COPY, signal)
    await prepared(backup, signal)
    const done = backup.doSnapshotSet(signal)
    if (state === 9 || state === 10) await assert.rejects(done, (error) => isVssFault(error))
    else await done
    assert.deepEqual((await backup.gatherWriterStatus(signal)).map((it) => [it.state, it.failure]),
      [[state, VSS_E.WRITERERROR_TIMEOUT]])
    await backup.abortBackup(signal)
    await backup[Symbol.asyncDispose]()
    await checkClosed(host, 'released')
  })
}

for (const [age, failure, messages] of [
  [0, undefined, undefined], [1, 0, ['before', 'behind']],
  [2, VSS_E.WRITERERROR_RETRYABLE, ['before', 'behind', 'of itself']]] as const) {
  test(`a component of a Windows with ${age} younger interfaces says what it can`, async () => {
    const fails = { at: 'PostSnapshot', hresult: VSS_E.WRITERERROR_PARTIAL_FAILURE, components: [{
      component: { type: 'database', logicalPath: 'HOST1', name: 'sales' },
      failure: VSS_E.WRITERERROR_RETRYABLE, applicationFailure: 0,
      messages: ['before', 'behind', 'of itself'] }] } as const
    await using host = await startTestHost(
      sampleHost({ writers: [sqlWriter({ fails })] }), [`age\t${age}`])
    await using backup = await new KoffiTransport({ clock }).open(COPY, signal)
    await prepared(backup, signal)
    await backup.doSnapshotSet(signal)
    const [sql] = await backup.gatherWriterStatus(signal)
    const failed = await backup.failedComponents?.(sql?.instanceId ?? '', signal)
    assert.deepEqual(failed?.map((it) => [it.component.name, it.failure, it.messages]),
      failure === undefined ? [] : [['sales', failure, messages]])
    await backup[Symbol.asyncDispose]()
    await checkClosed(host, 'released')
  })
}

test('a writer whose volume is not in the set fails for it, and is not tried again', async () => {
  await using host = await startTestHost(SQL_ONLY, [
    ['needs', braced(SQL_WRITER), DATA_VOLUME].join('\t')])
  const impatient = new ImpatientClock()
  {
    await using session = await VssSession.make(
      sampleRequest({ volumes: [SYSTEM_VOLUME], promised: new Set() }),
      { transport: new KoffiTransport({ clock }), clock: impatient, log: silentLog }, signal)
    assert.deepEqual(session.writers.map(({ afterSnapshot }) => afterSnapshot),
      [{ state: 8, failure: VSS_E.WRITERERROR_INCONSISTENTSNAPSHOT }])
  }
  assert.deepEqual(impatient.slept, [])
  await checkClosed(host, 'released')
})

test('where VSS refuses or is switched off, the fault says what to do', async () => {
  const open = (): Promise<AsyncDisposable> => new KoffiTransport({ clock }).open(COPY, signal)
  await assert.rejects(open(), { code: 'platform-unreachable', advice: /service VSS/ })
  await using host = await startTestHost(SQL_ONLY, ['call\tCreateVssBackupComponents\t80070005'])
  await assert.rejects(open(), { code: 'platform-refused', advice: /elevated/ })
  await checkClosed(host, 'client gone')
})

test('another requestor that is making its set is in the way until it is done', async () => {
  await using host = await startTestHost(SQL_ONLY)
  const transport = new KoffiTransport({ clock })
  await using other = await transport.open(COPY, signal)
  await prepared(other, signal)
  await using backup = await transport.open(COPY, signal)
  await assert.rejects(prepared(backup, signal), (error) =>
    isVssFault(error, VSS_E.SNAPSHOT_SET_IN_PROGRESS) && error.code === 'machine-busy')
  await other.doSnapshotSet(signal)
  await backup[Symbol.asyncDispose]()
  await wholeBackup(transport, signal)
  await other[Symbol.asyncDispose]()
  assert.equal((await host.journal()).filter(([, word]) => word === 'end').length, 3)
  assert.deepEqual(devicesLeft(), [])
})

test('a call that never comes back ends with its process, and so does the session', async () => {
  await using host = await startTestHost(
    { ...SQL_ONLY, hangs: ['GetSnapshotProperties'] })
  const hasty: Clock = { ...systemClock, after: (ms, fn) => systemClock.after(ms / 10, fn) }
  const backup = await new KoffiTransport({ clock: hasty }).open(COPY, signal)
  const { snapshotIds } = await prepared(backup, signal)
  await backup.doSnapshotSet(signal)
  const controller = new AbortController()
  const hanging = backup.snapshotProperties(snapshotIds[0] ?? '', controller.signal)
  await host.until(([, word, name]) => word === 'call' && name === 'GetSnapshotProperties')
  controller.abort(new Error('enough'))
  await assert.rejects(hanging, /enough/)
  await assert.rejects(backup.abortBackup(signal), { code: 'timed-out' })
  await backup[Symbol.asyncDispose]()
  await checkClosed(host, 'client gone')
})

async function checkClosed(host: TestHost, how: 'released' | 'client gone'): Promise<void> {
  await host.until(([, word]) => word === 'end')
  const journal = await host.journal()
  assert.deepEqual(journal.at(-1)?.slice(1), ['end', how, 'not complete', '0 shadow copies left'])
  assert.ok(!journal.some(([, word, name]) => word === 'event' && name === 'BackupComplete'))
  assert.deepEqual(devicesLeft(), [])
}
