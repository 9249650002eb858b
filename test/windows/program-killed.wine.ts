/**
 * The program itself is killed in the middle of a backup of its host: before the set, in the hold,
 * while it reads, while it seals and behind that. Its requestor ends the session in its place.
 */

import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { once } from 'node:events'
import { systemClock } from '../../src/base/clock.ts'
import { seededRandom } from '../../src/base/random.ts'
import {
  sampleHost, sqlWriter, SQL_WRITER, systemWriter, SYSTEM_WRITER,
} from '../../src/providers/testing/mod.ts'
import { placeFor, startStillpoint, stillpoint, type Place, type Running } from './program.ts'
import { braced, devicesLeft, startTestHost, type TestHost } from './test-host.ts'

const HOST = sampleHost({ writers: [sqlWriter(), systemWriter()] })
const VOLUME_BYTES = 24 * 1024 * 1024
const random = seededRandom(7)
/** No file system that is known: all of it is read. */
const CONTENT = random(VOLUME_BYTES)
/** So that a kill comes into the middle, on a busy machine too. */
const SLOW_MS = 1500

/** Where it is killed: words of the journal, or a folder of the repository that has grown. */
const POINTS: readonly ({ readonly line: readonly string[] } | { readonly grown: string })[] = [
  { line: ['event', 'Identify'] },
  { line: ['call', 'StartSnapshotSet'] },
  { line: ['event', 'PrepareForBackup'] },
  { line: ['event', 'Freeze'] },
  { line: ['hold'] },
  { line: ['shadow copy made'] },
  { line: ['event', 'PostSnapshot'] },
  { line: ['call', 'SaveAsXML'] },
  { grown: 'data' },
  { grown: 'index' },
  { line: ['call', 'SetBackupSucceeded'] },
  { line: ['event', 'BackupComplete'] },
]

function slowHost(): Promise<TestHost> {
  const events = ['Identify', 'PrepareForBackup', 'PrepareForSnapshot', 'Freeze', 'Thaw',
    'PostSnapshot', 'BackupComplete']
  return startTestHost(HOST, [
    ...events.map((event) => ['at', braced(SYSTEM_WRITER), event, 'slow', '300'].join('\t')),
    'step\tDoSnapshotSet\t300', 'block\tStartSnapshotSet\t300', 'block\tSaveAsXML\t300',
    `block\tSetBackupSucceeded\t${SLOW_MS}`,
  ], () => CONTENT)
}

test('a program that is killed at any point leaves no session and no shadow copy', async (t) => {
  const place = await placeFor(t, VOLUME_BYTES)
  assert.equal((await stillpoint(['init'], place.env)).code, 0)
  for (const point of POINTS) await killAt(point, place, t)
  // What was sealed can be read whole, and nothing is in the way of the next backup.
  await using host = await startTestHost(HOST, [], () => CONTENT)
  const next = await stillpoint(['backup', '--on', 'host:'], place.env)
  assert.equal(next.code, 0, `${next.stdout}${next.stderr}`)
  const check = await stillpoint(['check', '--read-data'], place.env)
  assert.equal(check.code, 0, `${check.stdout}${check.stderr}`)
  assert.equal((await host.journal()).at(-1)?.[3], 'complete')
})

async function killAt(
  point: (typeof POINTS)[number], place: Place, t: TestContext): Promise<void> {
  const where = 'line' in point ? point.line.join(' ') : `${point.grown} grown`
  await using host = await slowHost()
  const sealedBefore = await count(place, 'snapshots')
  const running = startStillpoint(['backup', '--on', 'host:'], place.env)
  if ('line' in point) {
    await reached(running, host.until((line) =>
      point.line.every((word, at) => line[at + 1] === word)))
  } else await reached(running, grown(place, point.grown))
  const exited = once(running.process, 'exit')
  running.process.kill('SIGKILL')
  await exited
  await checkEnd(host, where)
  const isSealed = await count(place, 'snapshots') > sealedBefore
  const journal = await host.journal()
  const isTold = journal.some(([, word, name]) => word === 'call' && name === 'BackupComplete')
  assert.ok(isSealed || !isTold, `${where}: told of a backup that is not sealed`)
  t.diagnostic(`${where}: ${isSealed ? 'sealed' : 'not sealed'}, ${
    isTold ? 'told' : 'not told'}`)
}

/** Until `done`; a program that ended before is a failure of the test. */
async function reached(running: Running, done: Promise<unknown>): Promise<void> {
  const early = running.ended.then(({ code, stderr }) => ({ code, stderr }))
  const first = await Promise.race([done.then(() => undefined), early])
  assert.equal(first, undefined, `it ended with ${first?.code}: ${first?.stderr}`)
}

/** What the sessions of a program that is gone came to. */
async function checkEnd(host: TestHost, where: string): Promise<void> {
  const begun = new Set((await host.journal()).map(([session]) => session)
    .filter((session) => session !== '0'))
  assert.ok(begun.size > 0, where)
  for (const session of begun) {
    await host.until(([of, word]) => of === session && word === 'end')
    const lines = (await host.journal()).filter(([of]) => of === session)
    const text = `${where}\n${lines.map((line) => line.join(' ')).join('\n')}`
    const is = (kind: string, name: string): boolean => lines.some(([, word, of, id]) =>
      word === kind && of === name && (kind !== 'event' || id === braced(SQL_WRITER)))
    const isComplete = is('call', 'BackupComplete')
    assert.deepEqual(lines.at(-1)?.slice(1), ['end', 'released',
      isComplete ? 'complete' : 'not complete', '0 shadow copies left'], text)
    assert.equal(is('call', 'AbortBackup'), is('call', 'PrepareForBackup') && !isComplete, text)
    assert.equal(is('event', 'BackupComplete'), isComplete, text)
    assert.equal(is('event', 'BackupShutdown'), is('event', 'Identify'), text)
    // Nobody is left frozen: what heard Freeze hears Thaw or Abort.
    assert.ok(!is('event', 'Freeze') || is('event', 'Thaw') || is('event', 'Abort'), text)
    assert.ok(!lines.some(([, word]) => word === 'out of order'), text)
  }
  assert.deepEqual(devicesLeft(), [], where)
}

async function count({ folder }: Place, name: string): Promise<number> {
  const found = await readdir(join(folder, 'repository', name), { recursive: true })
  return found.filter((file) => /[0-9a-f]{64}$/.test(file)).length
}

async function grown(place: Place, name: string): Promise<void> {
  const before = await count(place, name)
  while (await count(place, name) === before) {
    await systemClock.sleep(5, new AbortController().signal)
  }
}
