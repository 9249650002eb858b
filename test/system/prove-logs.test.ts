/** `prove --image --logs` by the program itself, on disks of a Windows with logs of our making. */

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { quietEnvironment } from '../../src/base/program.ts'
import { sqlServerBackup, type WrittenEvent } from '../../src/eventlog/testing/mod.ts'
import { cannotMountNtfs as skip } from '../interop/mounted-ntfs.ts'
import { PROGRAM } from './program.ts'
import { newRepository, PASSWORD, withRepository } from './rig.ts'
import { storeWindowsPoint, windowsImage, type WindowsLogs } from './windows-points.ts'

const INSTANT = Date.UTC(2026, 10, 20, 2, 0, 3)
const SECOND = 1000
const DAY = 86_400_000

const noise = (atMs: number): WrittenEvent => ({ source: 'Service', id: 7036, atMs })
/** Three chunks of it, of which the header of the file knows one. */
const long = Array.from({ length: 800 }, (_, n) => noise(INSTANT - 3_600_000 + n))
const [frozen = noise(0), resumed = noise(0), complete = noise(0)] =
  sqlServerBackup('Shop', INSTANT - SECOND)
const idle: WrittenEvent = { source: 'VSS', id: 8224, atMs: INSTANT + 180 * SECOND }
/** What Windows logs when a restored image of it is started. */
const boot: readonly WrittenEvent[] = [
  { source: 'Microsoft-Windows-Kernel-General', id: 12, channel: 'System',
    atMs: INSTANT - 600 * SECOND },
  { source: 'Microsoft-Windows-Kernel-Power', id: 41, channel: 'System', level: 1,
    atMs: INSTANT - 599 * SECOND, data: { BugcheckCode: '0' } },
  { source: 'EventLog', id: 6008, channel: 'System', level: 2, atMs: INSTANT - 590 * SECOND },
]
const quiet = (atMs: number): WrittenEvent => ({ ...noise(atMs), channel: 'System' })

interface Proved {
  readonly code: number
  readonly text: string
  readonly checks: readonly { readonly name: string; readonly answer: string }[]
  readonly verdict: string
  readonly records: readonly { readonly id: number; readonly image: string }[]
}

/** Two points of the machine; `prove` of each by its place, 0 or 1. */
async function points(
  t: TestContext, first: WindowsLogs, later: WindowsLogs,
): Promise<(place: 0 | 1) => Promise<Proved>> {
  const repository = await newRepository(t)
  const folder = dirname(repository)
  await writeFile(join(folder, 'password'), PASSWORD)
  await writeFile(join(folder, 'stillpoint.yaml'),
    'repository: { path: repo, passwordFile: password }\nevidence: { key: key }\n')
  const ids = await withRepository(repository, t, async (it) => {
    await it.loadIndex(t.signal)
    const one = await storeWindowsPoint(it, await windowsImage(folder, first), INSTANT, t)
    const two = await storeWindowsPoint(it, await windowsImage(folder, later), INSTANT + DAY, t)
    return [one, two]
  })
  const run = (...args: readonly string[]): Promise<{ code: number; stdout: string }> =>
    new Promise((resolve) => {
      execFile(PROGRAM, args, { cwd: folder, env: quietEnvironment() }, (error, stdout) =>
        resolve({ code: Number(error?.code ?? 0), stdout }))
    })
  return async (place) => {
    const asked = ['prove', ids[place] ?? '', '--image', '--logs']
    const json = await run(...asked, '--json')
    const summary = JSON.parse(json.stdout.trim().split('\n').at(-1) ?? '{}')
    const [proved] = summary.proved
    return { code: json.code, text: (await run(...asked)).stdout, verdict: proved.verdict,
      checks: proved.checks, records: proved.logs.records }
  }
}

function answers({ checks }: Proved): readonly string[] {
  return checks.map(({ name, answer }) => `${name} ${answer}`)
}

test('the logs of a Windows prove what the next backup completes', { skip }, async (t) => {
  const prove = await points(t,
    { application: [...long, frozen], system: boot },
    { application: [...long, frozen, resumed, complete, idle, noise(INSTANT + DAY)],
      system: [...boot, quiet(INSTANT + DAY)] })
  const first = await prove(0)
  assert.deepEqual(answers(first),
    ['image confirms', 'image silent', 'logs silent', 'logs confirms'], first.text)
  assert.equal(first.verdict, 'proven')
  assert.equal(first.code, 0)
  assert.deepEqual(first.records.map(({ id, image }) => `${id} ${image}`), [
    '12 own', '41 own', '6008 own', '3197 own', '3198 next', '18264 next', '8224 next'])
  assert.match(first.text, /SQL Server holds the writes of a database: Shop/)
  assert.match(first.text, /Windows found when it started that it had not been shut down properly/)
  assert.match(first.text.replace(/\s+/g, ' '), /That is expected.*It is harmless/)
  const newest = await prove(1)
  assert.equal(newest.verdict, 'not-proven')
  assert.match(newest.text.replace(/\s+/g, ' '), /stands only in the machine's next backup/)
})

test('a hold that Windows logged as failed refutes the grade', { skip }, async (t) => {
  const failed: WrittenEvent = { source: 'volsnap', id: 8, channel: 'System', level: 2,
    atMs: INSTANT - SECOND, data: { DeviceName: '\\Device\\Shadow9', VolumeName: 'C:' } }
  const prove = await points(t,
    { application: [...long, frozen], system: [quiet(INSTANT - 60 * SECOND), failed] },
    { application: [...long, frozen, resumed], system: [] })
  const { code, verdict, text } = await prove(0)
  assert.deepEqual([code, verdict], [3, 'refuted'], text)
  assert.match(text.replace(/\s+/g, ' '), /TROUBLE: writes could not be held long enough/)
})
