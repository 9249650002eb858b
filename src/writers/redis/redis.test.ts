/** The writer of Redis against real servers. */

import assert from 'node:assert/strict'
import { chown, cp, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { systemClock } from '../../base/clock.ts'
import type { PreparedWriter, Writer } from '../../consistency/mod.ts'
import { writerContract } from '../../consistency/testing/mod.ts'
import { RedisServer } from '../testing/redis-server.ts'
import { AOF, patientRedisWriter, prepareServer } from '../testing/redis-writer.ts'
import { ServerFolder } from '../testing/server-folder.ts'
import type { RedisOptions } from './writer.ts'

const never = new AbortController().signal
const RDB = ['--appendonly', 'no', '--save', '3600 1']

let folder: ServerFolder
before(async () => { folder = await ServerFolder.make('nobody') })
after(() => folder[Symbol.asyncDispose]())

function writerOf(options: Partial<RedisOptions> = {}): Writer {
  return patientRedisWriter(folder, options)
}

function prepare(
  server: RedisServer, options: Partial<RedisOptions> = {}): Promise<PreparedWriter> {
  return prepareServer(writerOf(options), server)
}

/** Writes rising numbers until told to stop; the last that was acknowledged. */
async function load(server: RedisServer): Promise<{ last: () => number; stop: () => void }> {
  const client = await server.client()
  let last = 0
  const write = async (): Promise<void> => {
    for (;;) {
      await client.send('SET', 'count', String(last + 1))
      last++
    }
  }
  write().catch(() => {})
  return { last: () => last, stop: () => client.destroy() }
}

/** What a server that starts on a copy of the files as they are now has for `count`. */
async function countInCopy(server: RedisServer, settings: readonly string[]): Promise<number> {
  const name = `copy-${server.pid}`
  const path = await folder.mkdir(name)
  await cp(server.dataFolder, path, { recursive: true })
  if (process.geteuid?.() === 0) await chownAll(path, folder.account)
  await using copy = await RedisServer.startIn(folder, name, settings)
  return Number(await copy.ask('GET', 'count'))
}

async function chownAll(path: string, account: { uid: number; gid: number }): Promise<void> {
  for (const name of await readdir(path, { recursive: true })) {
    await chown(join(path, name), account.uid, account.gid)
  }
}

for (const [kind, settings] of [['append-only file', AOF], ['saves', RDB]] as const) {
  let server: RedisServer
  suite(`Redis with ${kind}`, () => {
    before(async () => { server = await RedisServer.start(folder, kind.slice(0, 5), settings) })
    after(() => server[Symbol.asyncDispose]())

    writerContract(`the writer of Redis with ${kind}`, async () => ({
      writer: writerOf(),
      isHeld: () => server.isHeld(),
      [Symbol.asyncDispose]: async () => {},
    }))

    test('under load nothing is written in the hold, and the files have all before', async () => {
      const writes = await load(server)
      await using prepared = await prepare(server)
      while (writes.last() < 1000) await systemClock.sleep(1, never)
      const attempt = prepared.beginFreeze()
      const { statement, positions } = await attempt.held
      const before = Number(await server.ask('GET', 'count'))
      assert.equal(await countInCopy(server, settings), before)
      assert.equal(Number(await server.ask('GET', 'count')), before)
      assert.ok(writes.last() <= before)
      const outcome = await attempt.thaw()
      assert.ok(outcome.state === 'thawed' && outcome.heldThroughout, JSON.stringify(outcome))
      assert.match(statement, /run_id=[0-9a-f]{40}/)
      assert.match(positions?.atFreeze ?? '', /master_repl_offset=/)
      while (writes.last() <= before) await systemClock.sleep(1, never)
      writes.stop()
    })
  })
}
