/** PostgreSQL's files in a disk, as a real server left them, beside what its own tools say. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { systemClock } from '../../src/base/clock.ts'
import { runProgram } from '../../src/base/program.ts'
import { postgresWriter } from '../../src/writers/mod.ts'
import { PostgresServer, ServerFolder } from '../../src/writers/testing/mod.ts'
import { checkImage, holdOf, imageOf, type Captured } from './database-image.ts'

const BIN = '/usr/lib/postgresql/15/bin'

interface Cluster {
  readonly folder: ServerFolder
  readonly server: PostgresServer
}

/** The server's own settings, but for its small files of the log. */
async function startCluster(t: TestContext): Promise<Cluster> {
  const folder = await ServerFolder.make('postgres')
  t.after(() => folder[Symbol.asyncDispose]())
  const server = await PostgresServer.start(folder, 'main', 5433, ['max_wal_size = 80MB'])
  return { folder, server }
}

async function hold({ folder, server }: Cluster, t: TestContext): Promise<Captured> {
  const writer = postgresWriter({
    clock: systemClock, procRoot: folder.procRoot,
    limits: { connectMs: 60_000, askMs: 60_000, freezeMs: 60_000, thawMs: 60_000 } })
  const [application] = await writer.discover(t.signal)
  assert.ok(application !== undefined)
  await using prepared = await writer.prepare(application, t.signal)
  await server.query('insert into load select generate_series(1, 2000)')
  return {
    mountpoint: folder.path, paths: [server.dataFolder],
    application: { name: application.name, writer: await holdOf(prepared) } }
}

/** The same, with other positions. */
function claiming(captured: Captured, positions: Readonly<Record<string, string>>): Captured {
  const { application, application: { writer } } = captured
  assert.ok(writer.contract === 'recoverable' && writer.freeze.state === 'acknowledged')
  assert.ok(writer.freeze.positions !== null)
  const freeze = { ...writer.freeze, positions: { ...writer.freeze.positions, ...positions } }
  return { ...captured, application: { ...application, writer: { ...writer, freeze } } }
}

/** The last position of the log by the server's own reader. */
async function endByWaldump(dataFolder: string, t: TestContext): Promise<string> {
  const { stdout } = await runProgram(join(BIN, 'pg_controldata'), [dataFolder], {
    signal: t.signal })
  const redo = /REDO location: +([0-9A-F/]+)/.exec(Buffer.from(stdout).toString())?.[1] ?? ''
  const dump = await runProgram(join(BIN, 'pg_waldump'), [
    '-p', join(dataFolder, 'pg_wal'), '-s', redo], {
    signal: t.signal, okCodes: [0, 1], maxOutputBytes: 256 * 2 ** 20 })
  return /lsn: ([0-9A-F/]+), prev [0-9A-F/]+, desc: [^\n]*\n?$/.exec(
    Buffer.from(dump.stdout).toString())?.[1] ?? ''
}

test('a killed PostgreSQL is read as its own recovery would read it', async (t) => {
  const cluster = await startCluster(t)
  const { server, folder } = cluster
  await server.query('create table load (n int)')
  const before = await hold(cluster, t)
  await server.query('insert into load select generate_series(1, 100000)')
  await server.query('select pg_switch_wal()')
  await server.query('insert into load select generate_series(1, 30000)')
  const after = await hold(cluster, t)
  await server.query('insert into load select generate_series(1, 60000)')
  await server.kill()
  const image = await imageOf(folder.path, 512, t)

  const good = await checkImage(image, after, t)
  t.diagnostic(good.detail)
  assert.equal(good.answer, 'confirms', good.detail)
  const [, end, records] = / to ([0-9A-F/]+) \((\d+) records\)/.exec(good.detail) ?? []
  assert.ok(Number(records) > 1000, good.detail)
  const last = await endByWaldump(server.dataFolder, t)
  t.diagnostic(`${end}; the last record of pg_waldump begins at ${last}`)
  assert.ok(last !== '' && lsn(last) < lsn(end ?? '') && lsn(end ?? '') < lsn(last) + 9000n)

  assert.equal((await checkImage(image, before, t)).answer, 'confirms')
  const [past, far] = [await checkImage(image, claiming(after, { atFreeze: 'F/0' }), t),
    await checkImage(image, claiming(after, { beforeCheckpoint: 'F/0' }), t)]
  assert.match(past.detail, /does not reach F\/0, where it stood at the freeze/)
  assert.match(far.detail, /its recovery begins at .*, before the checkpoint at F\/0/)
  assert.deepEqual([past.answer, far.answer], ['contradicts', 'contradicts'])
  const gone = await checkImage(image, { ...after, paths: [join(folder.path, 'gone')] }, t)
  assert.deepEqual([gone.answer, gone.detail], ['silent', 'no cluster lies where it was'])
})

const lsn = (text: string): bigint => {
  const [high = '', low = ''] = text.split('/')
  return (BigInt(`0x${high}`) << 32n) + BigInt(`0x${low}`)
}
