/** Rules of stock `restic forget` on points with all that our commands sign beside them. */

import { strict as assert } from 'node:assert'
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { systemClock, type Clock } from '../../src/base/clock.ts'
import { isFault } from '../../src/base/fault.ts'
import { runProgram } from '../../src/base/program.ts'
import { systemRandom } from '../../src/base/random.ts'
import { Secret } from '../../src/base/secret.ts'
import { readCatalog } from '../../src/catalog/mod.ts'
import { createBench, type Bench } from '../../src/cli/testing/bench.ts'
import { initRepository } from '../../src/repository/mod.ts'
import { openLocalStorage } from '../../src/storage/mod.ts'
import { openVault, PASSWORD, SCRYPT } from '../simulation/vault.ts'

const signal = new AbortController().signal
const DAY_MS = 24 * 60 * 60_000
/** A morning, so that what is signed in the hours behind a point is of the same day. */
const START_MS = Date.parse('2026-10-01T06:00:00Z')
const DAYS = 9
/** The newest: restic keeps the last of a day, and would keep a verdict for its point. */
const PROVED_DAYS = 3
const MACHINES = ['web1', 'db1'] as const
const root = await mkdtemp(join(tmpdir(), 'stillpoint-retention-'))
after(() => rm(root, { recursive: true, force: true }))
const isResticThere = await runProgram('restic', ['version'], { signal }).then(() => true,
  (error: unknown) => {
    if (!isFault(error, 'program-missing')) throw error
    return false
  })
const options = isResticThere ? { timeout: 300_000 } : { skip: 'restic is missing' }

/** Points by snapshot id: `db1 3` is of the fourth day. */
type Points = ReadonlyMap<string, string>

/** Each day a point of each machine and its completion; verdicts; two points forgotten by us. */
async function makeRepository(): Promise<{ folder: string; points: Points }> {
  const folder = join(root, 'original')
  const storage = openLocalStorage(folder)
  let atMs = START_MS
  const clock: Clock = { ...systemClock, nowMs: () => atMs++ }
  await initRepository(storage, {
    password: new Secret(PASSWORD), hostname: 'x', username: 'x', clock, random: systemRandom,
    scryptCost: SCRYPT.restic }, signal)
  const bench = createBench({
    clock, stores: new Map([[folder, storage]]),
    environment: { RESTIC_REPOSITORY: folder, RESTIC_PASSWORD: PASSWORD } })
  const points = new Map<string, string>()
  for (let day = 0; day < DAYS; day++) {
    for (const machine of MACHINES) {
      atMs = START_MS + day * DAY_MS
      const { snapshot } = await run(
        bench, 'backup', machine, '--on', `qemu:qmp=/run/qmp,name=${machine}`)
      points.set(String(snapshot), `${machine} ${day}`)
    }
    if (day < DAYS - PROVED_DAYS) continue
    atMs += DAY_MS / 24
    await run(bench, 'prove', '--all')
  }
  // The tombstones of each machine are the newest of all.
  for (const [snapshot, name] of [...points].filter(([, name]) => name.endsWith(' 4'))) {
    await run(bench, 'forget', snapshot)
    assert.ok(points.delete(snapshot), name)
  }
  return { folder, points }
}

async function run(bench: Bench, ...args: string[]): Promise<Readonly<Record<string, unknown>>> {
  const { code, lines } = await bench.runJson(...args)
  assert.equal(code, 0, JSON.stringify(lines))
  return lines.at(-1) ?? {}
}

const original = isResticThere ? makeRepository() : undefined

/** A copy of its own, and stock restic on it. */
async function makeCopy(): Promise<{
  folder: string; points: Points; restic: (...args: readonly string[]) => Promise<string> }> {
  assert.ok(original !== undefined)
  const { folder: from, points } = await original
  const folder = await mkdtemp(join(root, 'copy-'))
  await cp(from, folder, { recursive: true })
  const env = {
    PATH: process.env['PATH'] ?? '', HOME: root, LC_ALL: 'C', TZ: 'UTC',
    RESTIC_REPOSITORY: folder, RESTIC_PASSWORD: PASSWORD }
  const restic = async (...args: readonly string[]): Promise<string> => Buffer.from(
    (await runProgram('restic', ['--no-cache', ...args], { signal, env })).stdout).toString()
  return { folder, points, restic }
}

test('what the rules are tried on has each kind of record, signed', options, async () => {
  const { folder } = await makeCopy()
  await using repository = await openVault(openLocalStorage(folder))
  const { records } = await readCatalog(repository, signal)
  const kinds = records.map(({ signed: { statement, isGenuine } }) => {
    assert.ok(isGenuine)
    return `${statement.machine} ${statement.kind}`
  })
  const count = (kind: string): number => kinds.filter((it) => it === kind).length
  for (const machine of MACHINES) {
    assert.equal(count(`${machine} completion`), DAYS - 1)
    assert.equal(count(`${machine} verdict`), PROVED_DAYS)
    assert.equal(count(`${machine} tombstones`), 1)
  }
})

for (const grouping of [[], ['--group-by', 'host']]) {
  const name = grouping.length === 0 ? 'by default' : grouping.join(' ')
  test(`restic's forget, grouping ${name}, trades no point for a record`, options, async () => {
    const { points, restic } = await makeCopy()
    await restic('forget', '--keep-daily', '7', ...grouping)
    const left = JSON.parse(await restic('snapshots', '--json')) as readonly { id: string }[]
    const kept = left.flatMap(({ id }) => points.get(id) ?? []).toSorted()
    const days = [1, 2, 3, 5, 6, 7, 8]
    assert.deepEqual(kept,
      MACHINES.flatMap((machine) => days.map((day) => `${machine} ${day}`)).toSorted())
    assert.ok(left.length > kept.length, 'records stay too')
  })
}
