/** Redis's files in a disk, as a real server left them. */

import assert from 'node:assert/strict'
import { appendFile, open, readdir, stat, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import {
  AOF, patientRedisWriter, prepareServer, RedisServer, ServerFolder,
} from '../../src/writers/testing/mod.ts'
import { checkImage, holdOf, imageOf, type Captured } from './database-image.ts'

interface Server {
  readonly folder: ServerFolder
  readonly server: RedisServer
}

async function start(t: TestContext, settings: readonly string[]): Promise<Server> {
  const folder = await ServerFolder.make('nobody')
  t.after(() => folder[Symbol.asyncDispose]())
  const server = await RedisServer.start(folder, 'main', settings)
  for (let n = 0; n < 200; n++) await server.ask('RPUSH', 'events', `event ${n}\r\n$1\r\n`)
  return { folder, server }
}

async function hold({ folder, server }: Server): Promise<Captured> {
  await using prepared = await prepareServer(patientRedisWriter(folder), server)
  return {
    mountpoint: folder.path, paths: [server.dataFolder],
    application: { name: 'redis main', writer: await holdOf(prepared) } }
}

async function answer(
  { folder }: Server, captured: Captured, t: TestContext): Promise<readonly [string, string]> {
  const found = await checkImage(await imageOf(folder.path, 16, t), captured, t)
  t.diagnostic(`${found.answer}: ${found.detail}`)
  return [found.answer, found.detail]
}

test('the append-only file of Redis must be as long as it was, and whole', async (t) => {
  const it = await start(t, AOF)
  const fresh = await hold(it)
  assert.match((await answer(it, fresh, t)).join(' '), /^confirms its log of 2 files/)
  await it.server.ask('BGREWRITEAOF')
  for (let n = 0; n < 300; n++) await it.server.ask('RPUSH', 'events', String(n))
  const captured = await hold(it)
  await it.server.kill()
  assert.match((await answer(it, captured, t)).join(' '), /^confirms its log of 2 files/)

  const log = join(it.server.dataFolder, 'appendonlydir')
  const name = (await readdir(log)).find((name) => name.endsWith('incr.aof')) ?? assert.fail()
  const { size } = await stat(join(log, name))
  await appendFile(join(log, name), '*1\r\n$4\r\nPING\r\n')
  assert.match((await answer(it, captured, t)).join(' '), /^contradicts .*, but had \d+ while/)
  await truncate(join(log, name), size - 5)
  await appendFile(join(log, name), Buffer.alloc(5)) // what a loss of power leaves
  assert.match((await answer(it, captured, t)).join(' '), /^contradicts .*a command is damaged/)
  await truncate(join(log, name), size - 5)
  assert.match((await answer(it, captured, t)).join(' '), /^contradicts .*ends inside a command/)
})

test('a dump of Redis must be whole and of the save inside the hold', async (t) => {
  const it = await start(t, ['--save', '3600 1000000'])
  const captured = await hold(it)
  await it.server.kill()
  assert.match((await answer(it, captured, t)).join(' '), /^confirms its dump of \d+ bytes/)
  const { writer } = captured.application
  assert.ok(writer.contract === 'held' && writer.freeze.state === 'acknowledged')
  const statement = writer.freeze.statement.replace(/(rdb_last_save_time=)\d+/, '$13000000000')
  assert.match((await answer(it, { ...captured, application: { name: 'redis main',
    writer: { ...writer, freeze: { ...writer.freeze, statement } } } }, t)).join(' '),
  /^contradicts its dump was begun \d+ s before the save/)
  await using dump = await open(join(it.server.dataFolder, 'dump.rdb'), 'r+')
  await dump.write(Buffer.from('X'), 0, 1, 150)
  assert.match((await answer(it, captured, t)).join(' '), /^contradicts .*its checksum is wrong/)
})
