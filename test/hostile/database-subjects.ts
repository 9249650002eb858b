/** Databases that real servers left in a folder, each as the disk of a machine. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { systemClock as clock } from '../../src/base/clock.ts'
import type { Writer } from '../../src/consistency/mod.ts'
import { mariadbWriter, postgresWriter, sqliteWriter } from '../../src/writers/mod.ts'
import {
  AOF, MariadbServer, ourselves, patientRedisWriter, PostgresServer, RedisServer, ServerFolder,
  SqliteApp,
} from '../../src/writers/testing/mod.ts'
import { holdOf, imageOf } from '../interop/database-image.ts'
import type { DatabaseSubject } from './damage-databases.ts'
import { SparseImage } from './sparse-image.ts'

const LIMITS = {
  connectMs: 120_000, askMs: 120_000, freezeMs: 60_000, holdMs: 60_000, thawMs: 60_000,
  openMs: 60_000 }

type Maker = (t: TestContext) => Promise<DatabaseSubject>

const makePostgres: Maker = async (t) => {
  const folder = await newFolder('postgres', t)
  await using server = await PostgresServer.start(folder, 'main', 5433)
  await server.query('create table load as select generate_series(1, 5000) as n')
  const writer = postgresWriter({ clock, procRoot: folder.procRoot, limits: LIMITS })
  return await subjectOf({ folder, writer, path: server.dataFolder, end: () => server.kill() }, t)
}

const makeMariadb: Maker = async (t) => {
  const folder = await newFolder('nobody', t)
  await using server = await MariadbServer.start(folder, 'main')
  const writer = mariadbWriter({
    clock, procRoot: folder.procRoot, user: ourselves(), limits: LIMITS })
  return await subjectOf({ folder, writer, path: server.dataFolder, end: () => server.kill() }, t)
}

const makeRedis: Maker = async (t) => {
  const folder = await newFolder('nobody', t)
  await using server = await RedisServer.start(folder, 'main', AOF)
  for (let n = 0; n < 50; n++) await server.ask('RPUSH', 'events', String(n))
  const writer = patientRedisWriter(folder)
  return await subjectOf({ folder, writer, path: server.dataFolder, end: () => server.kill() }, t)
}

const makeSqlite: Maker = async (t) => {
  const folder = await newFolder('nobody', t)
  await using app = await SqliteApp.start(folder, join(await folder.mkdir('app'), 'it.db'))
  for (let n = 0; n < 10; n++) await app.insert()
  const writer = sqliteWriter({
    clock, procRoot: folder.procRoot, databases: [app.path], limits: LIMITS })
  return await subjectOf({ folder, writer, path: app.path, end: async () => {} }, t)
}

export const DATABASE_SUBJECTS = {
  postgres: makePostgres, mariadb: makeMariadb, redis: makeRedis, sqlite: makeSqlite,
} as const satisfies Record<string, Maker>

async function newFolder(account: string, t: TestContext): Promise<ServerFolder> {
  const folder = await ServerFolder.make(account)
  t.after(() => folder[Symbol.asyncDispose]())
  return folder
}

interface Running {
  readonly folder: ServerFolder
  readonly writer: Writer
  readonly path: string
  /** Ends the server as `kill -9` does. */
  readonly end: () => Promise<void>
}

async function subjectOf(
  { folder, writer, path, end }: Running, t: TestContext): Promise<DatabaseSubject> {
  const [application] = await writer.discover(t.signal)
  assert.ok(application !== undefined)
  const prepared = await writer.prepare(application, t.signal)
  const hold = await holdOf(prepared)
  await prepared[Symbol.asyncDispose]()
  await end()
  return {
    image: await SparseImage.read(await imageOf(folder.path, 256, t)),
    captured: {
      mountpoint: folder.path, paths: [path],
      application: { name: application.name, writer: hold } },
  }
}
