/** The writer of Redis against servers that lie, hang and flood, none of them real. */

import assert from 'node:assert/strict'
import { mkdir, symlink, writeFile } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { suite, test } from 'node:test'
import { systemClock } from '../../base/clock.ts'
import type { PreparedWriter } from '../../consistency/mod.ts'
import { FakeHost } from '../testing/fake-process.ts'
import { parseManifest } from './files.ts'
import { encodeCommand, RespReader } from './resp.ts'
import { redisWriter, type RedisLimits } from './writer.ts'

const never = new AbortController().signal
const PID = 4713
/** Passed by a server that never answers; long for one that does. */
const SHORT_MS = 300
const LONG_MS = 60_000

type Answer = (command: readonly string[], socket: Socket) => string | undefined

const INFO: Readonly<Record<string, string>> = {
  redis_version: '7.0.15', process_id: String(PID), run_id: 'a'.repeat(40), role: 'master',
  master_replid: 'b'.repeat(40), master_repl_offset: '7', loading: '0', aof_enabled: '1',
  rdb_changes_since_last_save: '3', rdb_last_bgsave_time_sec: '-1', aof_current_size: '100',
  aof_buffer_length: '0', aof_last_write_status: 'ok',
}

const bulk = (text: string): string => `$${Buffer.byteLength(text)}\r\n${text}\r\n`
const info = (changed: Readonly<Record<string, string>> = {}): string =>
  bulk(Object.entries({ ...INFO, ...changed })
    .map(([name, value]) => `${name}:${value}\r\n`).join(''))

interface Fake {
  readonly host: FakeHost
  readonly prepare: () => Promise<PreparedWriter>
}

/** A server with an append-only file; `answer` says what is different about it. */
async function fakeServer(answer: Answer, limits: Partial<RedisLimits> = {}): Promise<Fake> {
  const host = await FakeHost.make()
  const cwd = `${host.path}/data`
  const proc = `${host.procRoot}/${PID}`
  await host.add({ pid: PID, program: 'redis-server', cwd })
  for (const folder of ['fd', 'net']) await mkdir(`${proc}/${folder}`)
  await symlink('socket:[99]', `${proc}/fd/3`)
  await writeFile(`${proc}/net/unix`, 'Num RefCount Protocol Flags Type St Inode Path\n' +
    `0000000000000000: 00000002 00000000 00010000 0001 01 99 ${host.path}/s\n`)
  await writeFile(`${cwd}/a.aof`, '')
  const settings: Readonly<Record<string, string>> = {
    appendonly: 'yes', appendfsync: 'everysec', save: '', dir: cwd, dbfilename: 'dump.rdb',
    appendfilename: 'a.aof', aclfile: '' }
  let isPaused = false
  const honest = ([name = '', second = '', third = '']: readonly string[]): string | undefined => {
    if (name === 'PING') return '+PONG\r\n'
    if (name === 'INFO') return info()
    if (second === 'PAUSE') isPaused = true
    if (second === 'UNPAUSE') isPaused = false
    if (name === 'EVAL') return isPaused ? undefined : ':1\r\n'
    const value = settings[third]
    if (name === 'CONFIG') {
      return value === undefined ? '*0\r\n' : `*2\r\n${bulk(third)}${bulk(value)}`
    }
    return '+OK\r\n'
  }
  await host.listen(`${host.path}/s`, (socket) => {
    const reader = new RespReader()
    socket.on('data', (chunk) => {
      reader.push(chunk)
      for (let command = reader.take(); command !== undefined; command = reader.take()) {
        const args = Array.isArray(command) ? command.map(String) : []
        const reply = answer(args, socket) ?? honest(args)
        if (reply !== undefined && !socket.destroyed) socket.write(reply)
      }
    })
  })
  const writer = redisWriter({
    clock: systemClock, procRoot: host.procRoot,
    limits: { connectMs: LONG_MS, askMs: LONG_MS, freezeMs: LONG_MS, thawMs: LONG_MS, ...limits } })
  return {
    host,
    prepare: async () => {
      const [application] = await writer.discover(never)
      assert.ok(application !== undefined)
      return writer.prepare(application, never)
    },
  }
}

/** Holds and releases it; what came of that. */
async function holdAndThaw(fake: Fake): Promise<boolean> {
  await using prepared = await fake.prepare()
  const attempt = prepared.beginFreeze()
  await attempt.held
  const outcome = await attempt.thaw()
  return outcome.state === 'thawed' && outcome.heldThroughout
}

suite('a Redis that is not what it seems', () => {
  test('one that does all as it should is believed, or the others here show nothing', async () => {
    const fake = await fakeServer(answering())
    await using _ = fake.host
    assert.equal(await holdAndThaw(fake), true)
  })

  const lies: readonly (readonly [string, Readonly<Record<string, string>>])[] = [
    ['wrote to its replication log', { master_repl_offset: '8' }],
    ['wrote to its file', { aof_current_size: '101', rdb_changes_since_last_save: '4' }],
    ['is another server', { run_id: 'c'.repeat(40) }],
    ['turned its file off', { aof_enabled: '0' }],
  ]
  for (const [what, changed] of lies) {
    test(`one that ${what} in the hold did not hold`, async () => {
      let asked = 0
      const fake = await fakeServer(answering((command) =>
        command[0] === 'INFO' && ++asked > 6 ? info(changed) : undefined))
      await using _ = fake.host
      assert.equal(await holdAndThaw(fake), false)
      assert.ok(asked > 6)
    })
  }

  const floods: readonly (readonly [string, string])[] = [
    ['floods', `$99999999\r\n${'x'.repeat(100_000)}`],
    ['never ends its line', `+${'x'.repeat(5000)}`],
    ['answers with a list of lists', '*1\r\n'.repeat(1000)],
    ['promises a billion items', '*1000000000\r\n'],
    ['speaks HTTP', 'HTTP/1.1 400 Bad Request\r\n\r\n'],
    ['answers twice', `${info()}${info()}`],
    ['says nothing of itself', '$0\r\n\r\n'],
    ['counts backwards', '$-7\r\n'],
    ['answers a number', ':1\r\n'],
  ]
  for (const [what, reply] of floods) {
    test(`one that ${what} is refused, and nothing stays open`, async () => {
      const fake = await fakeServer(([name]) => name === 'INFO' ? reply : undefined)
      await using _ = fake.host
      await assert.rejects(fake.prepare(), { code: 'writer-failed' })
      while (fake.host.openConnections > 0) await systemClock.sleep(5, never)
    })
  }

  test('one that never answers is given up', async () => {
    const limits = { connectMs: SHORT_MS, askMs: SHORT_MS }
    for (const silent of ['PING', 'INFO', 'CONFIG']) {
      const fake = await fakeServer(([name]) => name === silent ? '' : undefined, limits)
      await using _ = fake.host
      await assert.rejects(fake.prepare())
      while (fake.host.openConnections > 0) await systemClock.sleep(5, never)
    }
  })

  test('one that hangs in the thaw is let go within its limit', async () => {
    const fake = await fakeServer(([, second]) => second === 'UNPAUSE' && held ? '' : undefined,
      { thawMs: SHORT_MS })
    let held = false
    await using _ = fake.host
    await using prepared = await fake.prepare()
    const attempt = prepared.beginFreeze()
    await attempt.held
    held = true
    assert.equal((await attempt.thaw()).state, 'unknown')
  })

  test('one whose file is not there, or is a pipe, is not held', async () => {
    const fake = await fakeServer(([, , third]) =>
      third === 'appendfilename' ? `*2\r\n${bulk(third)}${bulk('missing')}` : undefined)
    await using _ = fake.host
    await assert.rejects(fake.prepare(), /could not be brought to disk/)
  })

  test('a Sentinel keeps no data', async () => {
    await using host = await FakeHost.make()
    await host.add({ pid: PID, program: 'redis-server', cwd: host.path, args: ['--sentinel'] })
    const writer = redisWriter({ clock: systemClock, procRoot: host.procRoot })
    assert.deepEqual(await writer.discover(never), [])
  })

  test('a manifest names files of its folder alone', () => {
    assert.deepEqual(parseManifest(
      'file a.aof.2.base.rdb seq 2 type b\nfile a.aof.1.incr.aof seq 1 type h\n' +
      'file a.aof.2.incr.aof seq 2 type i\n'), ['a.aof.2.base.rdb', 'a.aof.2.incr.aof'])
    for (const bad of ['file ../x seq 1 type i', 'file .. seq 1 type i', 'x', 'file a seq 1 type z',
      'file a seq 1 type i\n'.repeat(65)]) {
      assert.throws(() => parseManifest(bad), { code: 'writer-failed' })
    }
  })

  test('commands are sent as they were meant, whatever is in them', () => {
    const reader = new RespReader()
    const command = ['AUTH', 'a\r\nb', 'ü', '']
    for (const byte of Buffer.from(encodeCommand(command))) reader.push(Uint8Array.of(byte))
    assert.deepEqual(reader.take(), command)
    assert.equal(reader.take(), undefined)
  })
})

/** Answers the waiting witness when the pause is ended, as a server does. */
function answering(more: Answer = () => undefined): Answer {
  const waiting: Socket[] = []
  let isPaused = false
  return (command, socket) => {
    if (command[1] === 'PAUSE') isPaused = true
    if (command[1] === 'UNPAUSE') {
      isPaused = false
      for (const it of waiting.splice(0)) it.write(':1\r\n')
    }
    if (command[0] === 'EVAL' && isPaused) waiting.push(socket)
    return more(command, socket)
  }
}
