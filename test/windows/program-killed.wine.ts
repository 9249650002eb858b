/**
 * The program itself is killed in the middle of a backup of its host: before the set, in the hold,
 * while it reads, while it seals and behind that. Its requestor ends the session in its place.
 */

import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { once } from 'node:events'
import { seededRandom } from '../../src/base/random.ts'
import {
  sampleHost, sqlWriter, SQL_WRITER, systemWriter, SYSTEM_WRITER,
} from '../../src/providers/testing/mod.ts'
import { placeFor, startStillpoint, stillpoint, type Place, type Running } from './program.ts'
import { braced, devicesLeft, startTestHost, type TestHost } from './test-host.ts'

const HOST = sampleHost({ writers: [sqlWriter(), systemWriter()] })
/** Read in seconds, so that a kill at the first word about it comes before the last byte. */
const VOLUME_BYTES = 64 * 1024 * 1024
const random = seededRandom(7)
/** No file system that is known: all of it is read. */
const CONTENTS = new Map(HOST.volumes.map((volume) => [volume, random(VOLUME_BYTES)]))
const content = (volume: string): Uint8Array => CONTENTS.get(volume) ?? new Uint8Array()
/** So that a kill comes into the middle, on a busy machine too. */
const SLOW_MS = 1500

interface Point {
  /** Words of the journal, or what the program says of itself. */
  readonly at: readonly string[] | RegExp
  /** The restore point may be there already. */
  readonly mayBeSealed?: boolean
}

const POINTS: readonly Point[] = [
  { at: ['event', 'Identify'] },
  { at: ['call', 'StartSnapshotSet'] },
  { at: ['event', 'PrepareForBackup'] },
  { at: ['event', 'Freeze'] },
  { at: ['hold'] },
  { at: ['shadow copy made'] },
  { at: ['event', 'PostSnapshot'] },
  { at: ['call', 'SaveAsXML'] },
  { at: /"doneBytes":[1-9]/ },
  { at: /"phase":"sealing"/, mayBeSealed: true },
  { at: ['call', 'SetBackupSucceeded'], mayBeSealed: true },
  { at: ['event', 'BackupComplete'], mayBeSealed: true },
]

function slowHost(): Promise<TestHost> {
  const events = ['Identify', 'PrepareForBackup', 'PrepareForSnapshot', 'Freeze', 'Thaw',
    'PostSnapshot', 'BackupComplete']
  return startTestHost(HOST, [
    ...events.map((event) => ['at', braced(SYSTEM_WRITER), event, 'slow', '300'].join('\t')),
    'step\tDoSnapshotSet\t300', 'block\tStartSnapshotSet\t300', 'block\tSaveAsXML\t300',
    `block\tSetBackupSucceeded\t${SLOW_MS}`,
  ], content)
}

test('a program that is killed at any point leaves no session and no shadow copy', async (t) => {
  const place = await placeFor(t, VOLUME_BYTES)
  assert.equal((await stillpoint(['init'], place.env)).code, 0)
  for (const point of POINTS) await killAt(point, place, t)
  // What was sealed can be read whole, and nothing is in the way of the next backup.
  await using host = await startTestHost(HOST, [], content)
  const next = await stillpoint(['backup', '--on', 'host:'], place.env)
  assert.equal(next.code, 0, `${next.stdout}${next.stderr}`)
  const check = await stillpoint(['check', '--read-data'], place.env)
  assert.equal(check.code, 0, `${check.stdout}${check.stderr}`)
  assert.equal((await host.journal()).at(-1)?.[3], 'complete')
})

async function killAt(
  { at, mayBeSealed = false }: Point, place: Place, t: TestContext): Promise<void> {
  const where = at instanceof RegExp ? at.source : at.join(' ')
  await using host = await slowHost()
  const sealedBefore = await countPoints(place)
  const running = startStillpoint(['backup', '--on', 'host:', '--json'], place.env)
  await reached(running, at instanceof RegExp ? running.says(at)
    : host.until((line) => at.every((word, index) => line[index + 1] === word)))
  const exited = once(running.process, 'exit')
  running.process.kill('SIGKILL')
  await exited
  await checkEnd(host, where)
  const isSealed = await countPoints(place) > sealedBefore
  const isTold = (await host.journal()).some(([, word, name]) =>
    word === 'call' && name === 'BackupComplete')
  assert.ok(isSealed || !isTold, `${where}: told of a backup that is not sealed`)
  assert.ok(mayBeSealed || !isSealed, `${where}: it was killed too late`)
  t.diagnostic(`${where}: ${isSealed ? 'sealed' : 'not sealed'}, ${isTold ? 'told' : 'not told'}`)
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

async function countPoints({ folder }: Place): Promise<number> {
  return (await readdir(join(folder, 'repository', 'snapshots'))).length
}
