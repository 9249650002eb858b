/** SQLite's files in a disk, as a real program left them. */

import assert from 'node:assert/strict'
import { open, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { ServerFolder, SqliteApp } from '../../src/writers/testing/mod.ts'
import { checkImage, imageOf, type Captured } from './database-image.ts'
import { holdSqlite } from './held-sqlite.ts'


async function start(t: TestContext, setup?: string): Promise<[ServerFolder, SqliteApp]> {
  const folder = await ServerFolder.make('nobody')
  t.after(() => folder[Symbol.asyncDispose]())
  const path = await folder.mkdir('app')
  return [folder, await SqliteApp.start(folder, join(path, 'it.db'), setup)]
}

async function answer(folder: ServerFolder, captured: Captured, t: TestContext): Promise<string> {
  const { answer, detail } = await checkImage(await imageOf(folder.path, 32, t), captured, t)
  t.diagnostic(`${answer}: ${detail}`)
  return `${answer} ${detail}`
}

const integrity = process.geteuid?.() === 0 ? /says ok$/ : /only root can confine/

test('the log of SQLite must end with the commit at which it was held', async (t) => {
  const [folder, app] = await start(t)
  await using _ = app
  for (let n = 0; n < 30; n++) await app.insert()
  const captured = await holdSqlite(folder, app, t)
  const good = await answer(folder, captured, t)
  assert.match(good, /^confirms the last commit in its log ends at frame [1-9]\d*, as it/)
  assert.match(good, integrity)

  await app.insert() // the writer had the log brought into the database
  assert.match(await answer(folder, captured, t), /^contradicts its log was begun anew/)
  await app.run('pragma wal_autocheckpoint=0;')
  const later = await holdSqlite(folder, app, t)
  const { writer } = later.application
  assert.ok(writer.contract === 'held' && writer.freeze.state === 'acknowledged')
  const statement = writer.freeze.statement.replace(/wal_frames=\d+/, 'wal_frames=900')
  const forged = { ...later, application: { ...later.application, writer: {
    ...writer, freeze: { ...writer.freeze, statement } } } }
  assert.match(await answer(folder, forged, t), /^contradicts .*, and was at 900 while it was/)
  await using log = await open(`${app.path}-wal`, 'r+')
  await log.write(Buffer.from('X'), 0, 1, 200) // in the page of its first frame
  assert.match(await answer(folder, later, t), /^contradicts the last commit in its log ends at/)
  await app.run('pragma wal_checkpoint(truncate);')
  await app.insert()
  assert.match(await answer(folder, later, t), /^contradicts its log was begun anew/)
})

test('the counter of a SQLite database must be that at which it was held', async (t) => {
  const [folder, app] = await start(t, 'pragma journal_mode=delete;')
  await using _ = app
  await app.run('create table big(x); create index i on big(x);')
  await app.run('create table c(x check (x > 0)); pragma ignore_check_constraints = 1;' +
    'insert into c values (-1);') // the application's own affair
  await app.run('insert into big select hex(randomblob(200)) from generate_series(1, 500);')
  const captured = await holdSqlite(folder, app, t)
  const good = await answer(folder, captured, t)
  assert.match(good, /^confirms its change counter is [1-9]\d*, as it stated/)
  assert.match(good, integrity)

  const whole = await readFile(app.path)
  await writeFile(app.path, Buffer.concat([whole.subarray(0, 8192), Buffer.alloc(8192, 7),
    whole.subarray(16_384)]))
  if (process.geteuid?.() === 0) {
    assert.match(await answer(folder, captured, t), /^contradicts its integrity check says/)
  }
  await writeFile(app.path, whole.subarray(0, whole.length - 4096))
  assert.match(await answer(folder, captured, t), /^contradicts its file has \d+ bytes, which/)
  await writeFile(app.path, whole)
  await app.run('pragma cache_size = 1; begin; update big set x = x || 1;') // spills, not ended
  assert.match(await answer(folder, captured, t), /^contradicts (a transaction was being|its)/)
})
