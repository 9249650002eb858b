/** What may befall a held Redis, on real servers: lost pauses, kills, rights, settings. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { after, before, suite, test } from 'node:test'
import { Secret } from '../../base/secret.ts'
import type { PreparedWriter, Writer } from '../../consistency/mod.ts'
import { RedisServer } from '../testing/redis-server.ts'
import { AOF, patientRedisWriter, prepareServer } from '../testing/redis-writer.ts'
import { ServerFolder, stopProcess } from '../testing/server-folder.ts'
import type { RedisOptions } from './writer.ts'

const never = new AbortController().signal

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

async function untilWritten(server: RedisServer): Promise<void> {
  const client = await server.client()
  await client.send('SET', 'x', '1')
  client.destroy()
}

suite('a hold of Redis', () => {
  let server: RedisServer
  before(async () => { server = await RedisServer.start(folder, 'one', AOF) })
  after(() => server[Symbol.asyncDispose]())

  test('is lost when another ends the pause, also if nothing is written then', async () => {
    await using prepared = await prepare(server)
    const attempt = prepared.beginFreeze()
    await attempt.held
    await server.ask('CLIENT', 'UNPAUSE')
    const outcome = await attempt.thaw()
    assert.ok(outcome.state === 'thawed' && !outcome.heldThroughout)
    assert.match(outcome.statement, /the pause had ended before/)
  })

  test('is lost when something is written behind a pause that was renewed', async () => {
    await using prepared = await prepare(server)
    const attempt = prepared.beginFreeze()
    await attempt.held
    await server.ask('CLIENT', 'UNPAUSE')
    await untilWritten(server)
    await server.ask('CLIENT', 'PAUSE', '60000', 'WRITE')
    const outcome = await attempt.thaw()
    assert.ok(outcome.state === 'thawed' && !outcome.heldThroughout)
    assert.match(outcome.statement, /but it had frozen at .*aof_current_size/)
    assert.equal(await server.isHeld(), false)
  })

  test('ends by itself when its limits are over, and the thaw says so', async () => {
    const limits = { freezeMs: 3000, holdMs: 1, thawMs: 3000 }
    await using prepared = await prepare(server, { limits })
    const attempt = prepared.beginFreeze()
    await attempt.held
    await untilWritten(server) // is answered because nothing else ends the pause
    const outcome = await attempt.thaw()
    assert.ok(outcome.state === 'thawed' && !outcome.heldThroughout)
    assert.match(outcome.statement, /the pause had ended before/)
  })

  test('outlives the connection that asked for it, and is ended over another', async () => {
    await using prepared = await prepare(server)
    const attempt = prepared.beginFreeze()
    await attempt.held
    const list = await server.ask('CLIENT', 'LIST')
    assert.ok(typeof list === 'string')
    const asking = list.split('\n').filter((line) => / cmd=info /.test(line))
      .map((line) => /\bid=(\d+)/.exec(line)?.[1] ?? '')
    for (const id of asking) await server.ask('CLIENT', 'KILL', 'ID', id)
    const outcome = await attempt.thaw()
    assert.ok(outcome.state === 'thawed' && outcome.heldThroughout, JSON.stringify(outcome))
    assert.equal(await server.isHeld(), false)
  })

  test('of which every connection is killed is not known to be thawed, and ends', async () => {
    await using prepared = await prepare(server, {
      limits: { freezeMs: 3000, holdMs: 1, thawMs: 900 } })
    const attempt = prepared.beginFreeze()
    await attempt.held
    await server.ask('CLIENT', 'KILL', 'TYPE', 'normal')
    const outcome = await attempt.thaw()
    assert.ok(outcome.state === 'unknown')
    assert.match(outcome.detail, /the server ends the pause 3901 ms after it began/)
    await untilWritten(server)
  })

  test('whose server was killed is not known to have held', async () => {
    await using victim = await RedisServer.start(folder, 'victim', AOF)
    await using prepared = await prepare(victim)
    const attempt = prepared.beginFreeze()
    await attempt.held
    await victim.restart()
    assert.equal((await attempt.thaw()).state, 'unknown')
    assert.equal(await victim.isHeld(), false)
  })

  test('that a stopped server does not acknowledge ends, and so does its thaw', async () => {
    await using slow = await RedisServer.start(folder, 'slow', AOF)
    await using prepared = await prepare(slow, {
      limits: { freezeMs: 300, holdMs: 1, thawMs: 300 } })
    await stopProcess(slow.pid)
    const attempt = prepared.beginFreeze()
    await assert.rejects(attempt.held, { code: 'writer-timeout' })
    assert.equal((await attempt.thaw()).state, 'unknown')
    process.kill(slow.pid, 'SIGCONT')
    await untilWritten(slow)
  })

  test('does not outlive a killed agent by more than its limits', async () => {
    const writer = new URL('./writer.ts', import.meta.url).href
    const clock = new URL('../../base/clock.ts', import.meta.url).href
    const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', `
      import { redisWriter } from '${writer}'
      import { systemClock } from '${clock}'
      const never = new AbortController().signal
      const it = redisWriter({ clock: systemClock, procRoot: '${folder.procRoot}',
        limits: { freezeMs: 3000, holdMs: 1, thawMs: 100 } })
      const [application] = await it.discover(never)
      const prepared = await it.prepare(application, never)
      await prepared.beginFreeze().held
      console.log('frozen')
      setInterval(() => {}, 1000)
    `], { stdio: ['ignore', 'pipe', 'inherit'] })
    await once(child.stdout, 'data')
    child.kill('SIGKILL')
    await once(child, 'exit')
    await untilWritten(server)
  })
})

suite('Redis as it is set up', () => {
  test('a server that keeps nothing is named and cannot be held', async () => {
    await using server = await RedisServer.start(folder, 'cache', ['--save', ''])
    const [application] = await writerOf().discover(never)
    assert.equal(application?.kind, 'incidental')
    assert.equal(application.recovery, 'none')
    assert.match(application.advice ?? '', /keeps nothing on disk/)
    await assert.rejects(prepare(server), { code: 'writer-failed' })
  })

  test('several servers are told apart', async () => {
    await using one = await RedisServer.start(folder, 'first', AOF)
    await using two = await RedisServer.start(folder, 'second', AOF)
    const found = await writerOf().discover(never)
    assert.deepEqual(found.map(({ name }) => name).toSorted(),
      [one, two].map(({ socketPath }) => `redis ${socketPath}`))
    for (const { data } of found) {
      assert.equal(data.state, 'located')
    }
  })

  test('the setting that may lose a second stands in the statement', async () => {
    await using server = await RedisServer.start(folder, 'second-loss', AOF)
    await using prepared = await prepare(server)
    const attempt = prepared.beginFreeze()
    assert.match((await attempt.held).statement, /appendfsync=everysec/)
  })

  test('without its password a server is known, and cannot be asked', async () => {
    await using server = await RedisServer.start(folder, 'shut', [...AOF, '--requirepass', 'k'])
    const [application] = await writerOf().discover(never)
    assert.equal(application?.kind, 'protected')
    assert.ok(application.data.state === 'unknown')
    assert.match(application.data.detail, /NOAUTH/)
    await assert.rejects(prepare(server), { code: 'writer-failed' })
    const account = (): { password: Secret } => ({ password: new Secret('k') })
    await using prepared = await prepare(server, { account })
    await prepared.beginFreeze().held
  })

  const RIGHTS = ['reset', 'on', '>k', '-@all', '+ping', '+info', '+config|get', '+client|pause',
    '+client|unpause', '+eval', '+bgsave']
  const account = (): { user: string; password: Secret } =>
    ({ user: 'stillpoint', password: new Secret('k') })

  test('the documented rights are enough', async () => {
    const kinds = [['user-aof', AOF], ['user-rdb', ['--save', '3600 1']]] as const
    for (const [name, settings] of kinds) {
      await using server = await RedisServer.start(folder, name, settings)
      await server.ask('ACL', 'SETUSER', 'stillpoint', ...RIGHTS)
      await using prepared = await prepare(server, { account })
      const attempt = prepared.beginFreeze()
      await attempt.held
      const outcome = await attempt.thaw()
      assert.ok(outcome.state === 'thawed' && outcome.heldThroughout)
      await server.kill()
    }
  })

  test('each of them is needed: without, there is no hold', async () => {
    await using server = await RedisServer.start(folder, 'needs', ['--save', '3600 1'])
    for (const right of RIGHTS.filter((it) => it.startsWith('+') && it !== '+ping')) {
      await server.ask('ACL', 'SETUSER', 'stillpoint', ...RIGHTS.filter((it) => it !== right))
      const hold = async (): Promise<void> => {
        await using prepared = await prepare(server, { account })
        await prepared.beginFreeze().held
      }
      await assert.rejects(hold(), { code: 'writer-failed' }, right)
      assert.equal(await server.isHeld(), false)
    }
  })

  test('a pause of somebody else is left alone', async () => {
    await using server = await RedisServer.start(folder, 'paused', AOF)
    await server.ask('CLIENT', 'PAUSE', '60000', 'WRITE')
    await assert.rejects(prepare(server, { limits: { askMs: 300 } }), { code: 'writer-failed' })
    assert.equal(await server.isHeld(), true)
  })

  test('a last save that took longer than the freeze may is refused before it holds', async () => {
    await using server = await RedisServer.start(folder, 'large', [
      '--save', '3600 1', '--rdb-key-save-delay', '1200000'])
    await server.ask('SET', 'x', '1')
    await server.ask('BGSAVE')
    await assert.rejects(
      prepare(server, { limits: { saveMs: 500 } }), /too long to keep writes out/)
  })

  test('a save that does not end in the hold is a failed freeze, and writes go on', async () => {
    await using server = await RedisServer.start(folder, 'stuck', [
      '--save', '3600 1', '--rdb-key-save-delay', '100000000'])
    await server.ask('SET', 'x', '1')
    await using prepared = await prepare(server, { limits: { saveMs: 400 } })
    const attempt = prepared.beginFreeze()
    await assert.rejects(attempt.held, { code: 'writer-timeout' })
    const outcome = await attempt.thaw()
    assert.ok(outcome.state === 'thawed' && !outcome.heldThroughout)
    assert.equal(await server.isHeld(), false)
  })
})
