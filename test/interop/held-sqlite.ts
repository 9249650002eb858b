/** A program's SQLite database, held by its writer, for checks of it in an image. */

import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { systemClock } from '../../src/base/clock.ts'
import { sqliteWriter } from '../../src/writers/mod.ts'
import type { ServerFolder, SqliteApp } from '../../src/writers/testing/mod.ts'
import { holdOf, type Captured } from './database-image.ts'

const LONG = { freezeMs: 60_000, holdMs: 60_000, thawMs: 60_000, openMs: 60_000 }

export async function holdSqlite(
  folder: ServerFolder, { path }: SqliteApp, t: TestContext): Promise<Captured> {
  const writer = sqliteWriter({
    clock: systemClock, procRoot: folder.procRoot, databases: [path], limits: LONG })
  const [application] = await writer.discover(t.signal)
  assert.ok(application !== undefined)
  await using prepared = await writer.prepare(application, t.signal)
  return {
    mountpoint: folder.path, paths: [path],
    application: { name: application.name, writer: await holdOf(prepared) } }
}
