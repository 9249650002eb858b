import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { test } from 'node:test'
import { systemClock, type Clock } from '../../../base/clock.ts'
import { TurnWatch } from '../../../base/turns.ts'
import { MAX_TURN_MS } from '../../testing/vss/session-contract.ts'
import type { StubAnswers } from '../../testing/vss/stub-requestor.ts'
import { isVssFault, VSS_E } from '../session/hresult.ts'
import { CONTEXT, MAX_MESSAGE_UNITS, type BackupSetup } from '../session/transport.ts'
import { KoffiTransport } from './koffi-transport.ts'
import {
  MAX_LINE_BYTES, MAX_TEXT_UNITS, MESSAGES_FD, PART_UNITS, REQUESTOR_STDIO,
} from './protocol.ts'
import { startRequestor } from './requestor-process.ts'

const STUB = fileURLToPath(new URL('../../testing/vss/stub-requestor.ts', import.meta.url))
const COPY: BackupSetup = {
  context: CONTEXT.BACKUP, backupType: 'copy', bootableSystemState: false }
const GUID = 'a65faa63-5ea8-4ebc-9dbd-a0c4db26912a'
const signal = new AbortController().signal

interface Stub {
  readonly transport: KoffiTransport
  readonly children: readonly ChildProcess[]
}

function stub(answers: StubAnswers, clock: Clock = systemClock): Stub {
  const children: ChildProcess[] = []
  const start = (): ChildProcess => {
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', STUB,
      JSON.stringify({ open: [{ value: null }], ...answers })], { stdio: [...REQUESTOR_STDIO] })
    children.push(child)
    return child
  }
  return {
    transport: new KoffiTransport({ clock, platform: 'win32', arch: 'x64', start }), children }
}

/** The last child is gone, or this waits for it until the test's own limit. */
async function gone({ children }: Stub): Promise<void> {
  const child = children.at(-1)
  if (child !== undefined && child.exitCode === null && child.signalCode === null) {
    await once(child, 'exit')
  }
}

test('there is no VSS but in a process of 64 bits on Windows', async () => {
  const start = (): never => assert.fail('nothing is started')
  for (const [platform, arch] of [['linux', 'x64'], ['win32', 'ia32']] as const) {
    const transport = new KoffiTransport({ clock: systemClock, platform, arch, start })
    await assert.rejects(transport.open(COPY, signal), { code: 'unsupported' })
  }
})

test('a document that comes in parts is whole again, its writer told by its ids', async () => {
  const { transport } = stub({
    gatherWriterMetadata: [{ value: { count: 1 } }],
    writerDocument: [{ part: '<a>\ud83d' }, { part: '\ude00</a>' },
      { value: { writerId: GUID, instanceId: GUID, name: 'one' } }],
    freeWriterMetadata: [{ value: null }],
    componentsDocument: [{ part: '<b/>' }, { value: null }],
  })
  await using backup = await transport.open(COPY, signal)
  assert.deepEqual(await backup.gatherWriterMetadata(signal), [
    { writerId: GUID, instanceId: GUID, name: 'one', document: '<a>\u{1f600}</a>' }])
  assert.deepEqual(await backup.saveDocuments(signal), {
    backupComponents: '<b/>',
    writerMetadata: [{ instanceId: GUID, document: '<a>\u{1f600}</a>' }] })
})

test('components that failed are those of the writer that is meant, and of no endless words',
  async () => {
    const said = { type: 1, logicalPath: null, name: 'sales', failure: VSS_E.WRITERERROR_TIMEOUT,
      applicationFailure: 0, messages: ['full'] }
    const asked = (messages: readonly string[]): Stub => stub({
      addedWriters: [{ value: [{ instanceId: GUID.replaceAll('a', 'b'), count: 5 },
        { instanceId: GUID, count: 2 }] }],
      failedComponent: [{ value: { ...said, messages } }] })
    {
      await using backup = await asked(['full']).transport.open(COPY, signal)
      const failed = {
        component: { type: 'database', logicalPath: null, name: 'sales' },
        failure: said.failure, applicationFailure: 0, messages: ['full'] }
      assert.deepEqual(await backup.failedComponents?.(GUID, signal), [failed, failed])
      assert.deepEqual(await backup.failedComponents?.(GUID.replaceAll('a', 'c'), signal), [])
    }
    await using backup = await asked(['x'.repeat(MAX_MESSAGE_UNITS + 1)]).transport
      .open(COPY, signal)
    await assert.rejects(backup.failedComponents?.(GUID, signal) ?? Promise.resolve(),
      { code: 'platform-protocol' })
  })

test('what VSS ended a method with comes back under the name of that method', async () => {
  const { transport } = stub({
    startSnapshotSet: [{ hresult: VSS_E.SNAPSHOT_SET_IN_PROGRESS, of: 'StartSnapshotSet' }] })
  await using backup = await transport.open(COPY, signal)
  await assert.rejects(backup.startSnapshotSet(signal), (error) =>
    isVssFault(error, VSS_E.SNAPSHOT_SET_IN_PROGRESS) && error.step === 'StartSnapshotSet')
})

test('an open that is refused leaves no process', async () => {
  const it = stub({ open: [{ hresult: 0x80070005, of: 'CreateVssBackupComponents' }] })
  await assert.rejects(it.transport.open(COPY, signal), {
    code: 'platform-refused', advice: /elevated/ })
  await gone(it)
})

test('a process that dies fails every step from there on, with its last words', async () => {
  const it = stub({ doSnapshotSet: ['exit'] })
  await using backup = await it.transport.open(COPY, signal)
  const dead = { code: 'platform-unreachable', message: /exit code 7\).*last words/ }
  await assert.rejects(backup.doSnapshotSet(signal), dead)
  await assert.rejects(backup.abortBackup(signal), dead)
})

const NONSENSE: readonly (readonly [string, object | string])[] = [
  ['no JSON', 'hello\n'], ['no message', '{"id":2,"what":1}\n'],
  ['a value of another kind', { value: 7 }], ['an id that is none', { value: 'x' }],
  ['a line without an end', { endless: MAX_LINE_BYTES + 1 }],
]
for (const [name, answer] of NONSENSE) {
  test(`${name} of a process is a fault`, async () => {
    const it = stub({ startSnapshotSet: [answer] })
    await using backup = await it.transport.open(COPY, signal)
    await assert.rejects(backup.startSnapshotSet(signal), { code: 'platform-protocol' })
  })
}

test('a document without an end is a fault, and the end of its process', async () => {
  const it = stub({ componentsDocument: [{ parts: MAX_TEXT_UNITS / PART_UNITS + 1 }] })
  await using backup = await it.transport.open(COPY, signal)
  await assert.rejects(backup.saveDocuments(signal), { code: 'platform-protocol' })
  await gone(it)
})

test('a document of 12 Mi characters is taken in short turns', async (t) => {
  const { transport } = stub({
    componentsDocument: [{ parts: 3 / 4 * MAX_TEXT_UNITS / PART_UNITS }, { value: null }] })
  await using backup = await transport.open(COPY, signal)
  using watch = new TurnWatch()
  const { backupComponents } = await backup.saveDocuments(signal)
  const { cpuMs } = watch.longest
  t.diagnostic(`longest turn: ${cpuMs.toFixed(1)} ms of the processor`)
  assert.equal(backupComponents.length, 3 / 4 * MAX_TEXT_UNITS)
  assert.ok(cpuMs < MAX_TURN_MS, `${cpuMs} ms`)
})

test('a process that does not release VSS in time is killed', async () => {
  const impatient: Clock = { ...systemClock, after: (ms, fn) => systemClock.after(ms / 100, fn) }
  const it = stub({ release: [] }, impatient)
  const backup = await it.transport.open(COPY, signal)
  await backup[Symbol.asyncDispose]()
  await gone(it)
  assert.equal(it.children[0]?.signalCode, 'SIGKILL')
})

test('an Abort that VSS does not take in time is the end of the process', async () => {
  const impatient: Clock = { ...systemClock, after: (ms, fn) => systemClock.after(ms / 100, fn) }
  const it = stub({}, impatient)
  const backup = await it.transport.open(COPY, signal)
  await assert.rejects(backup.abortBackup(signal), { code: 'timed-out' })
  await gone(it)
  await backup[Symbol.asyncDispose]()
})

test('a requestor ends with whoever started it, and says what it lacks', async () => {
  const child = startRequestor()
  const exited = once(child, 'exit')
  child.stdin?.write('{"id":1,"step":"open","context":0,"backupType":5,"isBootable":false}\n')
  const messages = child.stdio[MESSAGES_FD]
  assert.ok(messages instanceof Readable)
  const [line] = await once(messages, 'data') as [Buffer]
  assert.match(line.toString(), /"id":1,"fault":\{"code":"platform-unreachable"/)
  child.stdin?.end()
  const [, killedBy] = await exited as [number | null, string | null]
  assert.equal(killedBy, 'SIGKILL')
})
