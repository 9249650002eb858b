/** A requestor that dies, or whose backup dies, leaves no session open and no shadow copy. */

import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { systemClock as clock } from '../../src/base/clock.ts'
import {
  largeWriter, sampleHost, sqlWriter, SQL_WRITER, systemWriter, SYSTEM_WRITER,
} from '../../src/providers/testing/mod.ts'
import { KoffiTransport } from '../../src/providers/vss/native/koffi-transport.ts'
import { startRequestor } from '../../src/providers/vss/native/requestor-process.ts'
import { wholeBackup } from './backup-steps.ts'
import { braced, devicesLeft, startTestHost, type TestHost } from './test-host.ts'

const signal = new AbortController().signal
const HOST = sampleHost({ writers: [sqlWriter(), systemWriter()] })
/** Long enough to be hit in the middle, on a busy machine too. */
const SLOW_MS = 1500
const LONG_MS = 30_000

/** Where it is killed: words of the journal behind the session's number. */
const POINTS: readonly (readonly string[])[] = [
  ['call', 'CreateVssBackupComponents'], ['call', 'SetContext'], ['event', 'Identify'],
  ['finished', 'GatherWriterMetadata'], ['call', 'GetWriterMetadata'], ['call', 'AddComponent'],
  ['call', 'StartSnapshotSet'], ['call', 'AddToSnapshotSet'], ['event', 'PrepareForBackup'],
  ['finished', 'PrepareForBackup'], ['event', 'PrepareForSnapshot'], ['event', 'Freeze'], ['hold'],
  ['shadow copy made'], ['event', 'Thaw'], ['event', 'PostSnapshot'], ['finished', 'DoSnapshotSet'],
  ['call', 'GetSnapshotProperties'], ['call', 'SetBackupSucceeded'], ['call', 'BackupComplete'],
  ['event', 'BackupComplete'], ['finished', 'BackupComplete'], ['call', 'SaveAsXML'],
]

/** Events and calls that take long, so that the kill comes into the middle. */
function slowHost(): Promise<TestHost> {
  const events = ['Identify', 'PrepareForBackup', 'PrepareForSnapshot', 'Freeze', 'Thaw',
    'PostSnapshot', 'BackupComplete']
  return startTestHost(HOST, [
    ...events.map((event) => ['at', braced(SYSTEM_WRITER), event, 'slow', '100'].join('\t')),
    'step\tDoSnapshotSet\t300',
    ...['GetWriterMetadata', 'AddComponent', 'StartSnapshotSet', 'AddToSnapshotSet',
      'GetSnapshotProperties', 'SetBackupSucceeded'].map((method) => `block\t${method}\t100`),
    `block\tSaveAsXML\t${SLOW_MS}`, // with it the backup is over
  ])
}

/** Waits for the end of the session, and checks what it left. */
async function checkEnd(
  host: TestHost, session: number, where: string, how: 'client gone' | 'released' = 'client gone',
): Promise<void> {
  await host.until(([of, word]) => of === String(session) && word === 'end')
  const lines = (await host.journal()).filter(([of]) => of === String(session))
  const text = `${where}\n${lines.map((line) => line.join(' ')).join('\n')}`
  assert.deepEqual([lines.at(-1)?.[2], lines.at(-1)?.[4]], [how, '0 shadow copies left'],
    text)
  assert.deepEqual(devicesLeft(), [], text)
  const heard = (event: string): boolean => lines.some(([, word, name, id]) =>
    word === 'event' && name === event && id === braced(SQL_WRITER))
  assert.equal(heard('BackupShutdown'), heard('Identify'), text)
  const isAsked = lines.some(([, word, name]) => word === 'call' && name === 'BackupComplete')
  assert.ok(isAsked || !heard('BackupComplete'), text)
  // Nobody is left frozen: what heard Freeze hears Thaw or Abort.
  assert.ok(!heard('Freeze') || heard('Thaw') || heard('Abort'), text)
}

test('a requestor killed at any point leaves no session and no shadow copy', async () => {
  await using host = await slowHost()
  for (const [index, point] of POINTS.entries()) {
    const session = index + 1
    const children: ChildProcess[] = []
    const transport = new KoffiTransport({ clock, start: () => {
      const child = startRequestor()
      children.push(child)
      return child
    } })
    const backup = wholeBackup(transport, signal).then(() => undefined, (error: unknown) => error)
    await host.until((line) => line[0] === String(session) &&
      point.every((word, at) => line[at + 1] === word))
    children[0]?.kill('SIGKILL')
    const fault = await backup
    assert.ok(fault instanceof Error && 'code' in fault && fault.code === 'platform-unreachable',
      `${point.join(' ')}: ${String(fault)}`)
    await checkEnd(host, session, point.join(' '))
  }
  await wholeBackup(new KoffiTransport({ clock }), signal) // and the next one works
})

test('a backup killed with a shadow copy made takes its requestor with it', async () => {
  await using host = await startTestHost(HOST, [
    ['at', braced(SQL_WRITER), 'PostSnapshot', 'slow', String(LONG_MS)].join('\t')])
  const program = fileURLToPath(new URL('./back-up.ts', import.meta.url))
  const backup = spawn(process.execPath, [program], { stdio: 'ignore' })
  await host.until(([, word]) => word === 'shadow copy made')
  const exited = once(backup, 'exit')
  backup.kill('SIGKILL')
  await exited
  await checkEnd(host, 1, 'shadow copy made', 'released')
  const journal = await host.journal()
  assert.ok(journal.some(([, word, name]) => word === 'call' && name === 'AbortBackup'))
  // At once, and not when the step had ended and nobody heard of it.
  assert.ok(!journal.some(([, word, name, code]) =>
    word === 'finished' && name === 'DoSnapshotSet' && code === '0004230a'))
})

test('a requestor whose backup does not read hears that it has gone all the same', async () => {
  await using host = await startTestHost(sampleHost({ writers: [largeWriter()] }))
  const child = startRequestor()
  const exited = once(child, 'exit')
  const requests = [
    { step: 'open', context: 0, backupType: 5, isBootable: false },
    { step: 'gatherWriterMetadata' }, { step: 'writerDocument', index: 0 }]
  for (const [index, request] of requests.entries()) {
    child.stdin?.write(`${JSON.stringify({ id: index + 1, ...request })}\n`)
  }
  await host.until(([, word, name]) => word === 'answered' && name === 'GetWriterMetadata')
  child.stdin?.end()
  await exited
  await host.until(([, word]) => word === 'end')
  assert.deepEqual((await host.journal()).at(-1)?.[4], '0 shadow copies left')
})
