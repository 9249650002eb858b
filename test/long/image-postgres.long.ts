/** PostgreSQL in the image after all that may lie in a log: never a wrong answer. */

import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { systemClock as clock } from '../../src/base/clock.ts'
import { postgresWriter } from '../../src/writers/mod.ts'
import { PostgresServer, ServerFolder } from '../../src/writers/testing/mod.ts'
import { checkImage, holdOf, imageOf, type Captured } from '../interop/database-image.ts'

const ROUNDS = 8
const LIMITS = { connectMs: 60_000, askMs: 60_000, freezeMs: 60_000, thawMs: 60_000 }

/** Held, written to in this way, killed, captured. */
const BETWEEN: readonly (readonly [what: string, sql: string])[] = [
  ['nothing more', 'select 1'],
  ['small commits', 'insert into load select 1, null'],
  ['records longer than a page', `insert into load
    select 2, string_agg(md5(random()::text), '') from generate_series(1, 40000)`],
  ['a file of the log that is left half-way', 'select pg_switch_wal()'],
  ['more than a file of the log', 'insert into load select n, null from generate_series(1, 3e5) n'],
  ['a transaction that is rolled back', 'begin; insert into load select 3, null; rollback'],
]

async function hold(
  folder: ServerFolder, server: PostgresServer, t: TestContext): Promise<Captured> {
  const writer = postgresWriter({ clock, procRoot: folder.procRoot, limits: LIMITS })
  const application = (await writer.discover(t.signal)).find(({ data }) =>
    data.state === 'located' && data.places.some(({ path }) => path === server.dataFolder))
  assert.ok(application !== undefined)
  await using prepared = await writer.prepare(application, t.signal)
  return {
    mountpoint: folder.path, paths: [server.dataFolder],
    application: { name: application.name, writer: await holdOf(prepared) } }
}

test('a primary, whatever it wrote', async (t) => {
  await using folder = await ServerFolder.make('postgres')
  await using server = await PostgresServer.start(folder, 'main', 5433)
  await server.query('create table load (n int, s text)')
  for (let round = 0; round < ROUNDS; round++) {
    for (const [what, sql] of BETWEEN) {
      await server.query(sql)
      const captured = await hold(folder, server, t)
      await server.query(sql)
      const isKilled = round % 2 === 0
      if (isKilled) await server.kill()
      const { answer, detail } = await checkImage(await imageOf(folder.path, 1024, t), captured, t)
      assert.equal(answer, 'confirms', `${round}, ${what}: ${detail}`)
      if (isKilled) await server.restart()
    }
  }
})

test('a standby, before and after it is promoted', async (t) => {
  await using folder = await ServerFolder.make('postgres')
  await using primary = await PostgresServer.start(folder, 'main', 5433)
  await primary.query('create table load (n int, s text)')
  await using standby = await PostgresServer.startStandby(folder, 'standby', 5434, primary)
  for (let round = 0; round < ROUNDS; round++) {
    if (round === ROUNDS / 2) await standby.query('select pg_promote()')
    const isPromoted = round >= ROUNDS / 2
    const target = isPromoted ? standby : primary
    await target.query('insert into load select n, null from generate_series(1, 20000) n')
    await target.query('checkpoint')
    const captured = await hold(folder, standby, t)
    await target.query('insert into load select n, null from generate_series(1, 20000) n')
    if (round % 2 === 1) await standby.kill()
    const { answer, detail } = await checkImage(await imageOf(folder.path, 1024, t), captured, t)
    t.diagnostic(detail)
    assert.equal(answer, 'confirms', `${round}: ${detail}`)
    if (round % 2 === 1) await standby.restart()
  }
})
