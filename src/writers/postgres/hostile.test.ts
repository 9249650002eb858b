/** The writer of PostgreSQL against servers that lie, hang and flood, none of them real. */

import assert from 'node:assert/strict'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { suite, test } from 'node:test'
import { systemClock } from '../../base/clock.ts'
import type { DiscoveredApplication } from '../../consistency/mod.ts'
import { FakeHost } from '../testing/fake-process.ts'
import { durabilityOf } from './questions.ts'
import { postgresWriter, type PostgresLimits } from './writer.ts'

const never = new AbortController().signal
const PID = 4711
/** Passed by a server that never answers; long for one that does. */
const SHORT_MS = 300
const LONG_MS = 60_000

type Answer = (sql: string, socket: Socket) => void

/** A server of one cluster that lets everybody in and gives each statement to `answer`. */
async function prepareFake(
  answer: Answer, limits: Partial<PostgresLimits> = {}, greet: (socket: Socket) => void = letIn,
): Promise<{ prepare: () => Promise<unknown>; host: FakeHost }> {
  const host = await FakeHost.make()
  const cwd = `${host.path}/data`
  await host.add({ pid: PID, program: 'postgres', cwd })
  await writeFile(`${cwd}/PG_VERSION`, '15\n')
  await writeFile(`${cwd}/postmaster.pid`, `${PID}\n${cwd}\n0\n5432\n${host.path}\n`)
  await host.listen(`${host.path}/.s.PGSQL.5432`, (socket) => {
    let isGreeted = false
    socket.on('data', (chunk) => {
      if (!isGreeted) {
        isGreeted = true
        greet(socket)
      } else if (chunk[0] === 0x51) answer(chunk.subarray(5, -1).toString(), socket) // 'Q'
    })
  })
  for (const folder of ['pg_wal', 'pg_tblspc']) await mkdir(`${cwd}/${folder}`)
  const writer = postgresWriter({
    clock: systemClock, procRoot: host.procRoot, role: 'postgres',
    limits: { connectMs: LONG_MS, askMs: LONG_MS, ...limits },
  })
  return {
    host,
    prepare: async () => {
      const [application] = await writer.discover(never)
      assert.equal(application?.data.state, 'located')
      return writer.prepare(application, never)
    },
  }
}

function message(type: string, ...parts: readonly Uint8Array[]): Uint8Array {
  const body = Buffer.concat(parts)
  const head = Buffer.alloc(5)
  head.write(type)
  head.writeUInt32BE(body.length + 4, 1)
  return Buffer.concat([head, body])
}

const ready = (): Uint8Array => message('Z', Buffer.from('I'))

function letIn(socket: Socket): void {
  socket.write(Buffer.concat([message('R', Buffer.alloc(4)), ready()]))
}

/** One row of named values. */
function rowOf(values: Readonly<Record<string, string>>): Uint8Array {
  const count = Buffer.alloc(2)
  count.writeUInt16BE(Object.keys(values).length)
  const columns = Object.keys(values).map((name) =>
    Buffer.concat([Buffer.from(`${name}\0`), Buffer.alloc(18)]))
  const cells = Object.values(values).map((value) => {
    const length = Buffer.alloc(4)
    length.writeUInt32BE(Buffer.byteLength(value))
    return Buffer.concat([length, Buffer.from(value)])
  })
  return Buffer.concat([
    message('T', count, ...columns), message('D', count, ...cells),
    message('C', Buffer.from('SELECT 1\0')), ready()])
}

suite('A hostile PostgreSQL server', () => {
  const rows: readonly (readonly [
    string, Answer, Partial<PostgresLimits>, object, ((socket: Socket) => void)?])[] = [
    ['that never lets anybody in', () => {}, { connectMs: SHORT_MS },
      { code: 'writer-timeout' }, () => {}],
    ['that asks for a password', () => {}, {}, { code: 'writer-failed' },
      (socket) => socket.write(message('R', Buffer.from([0, 0, 0, 3])))],
    ['that speaks another protocol', () => {}, {}, { code: 'writer-failed' },
      (socket) => socket.end('220 mail.example ESMTP\r\n')],
    ['that floods the greeting', () => {}, {}, { code: 'writer-failed' }, flood],
    ['that never answers', () => {}, { askMs: SHORT_MS }, { code: 'writer-timeout' }],
    ['that hangs up', (_, socket) => socket.end(), {}, { code: 'writer-failed' }],
    ['that floods the answer', (_, socket) => flood(socket), {}, { code: 'writer-failed' }],
    ['that announces two gigabytes and trickles', (_, socket) =>
      socket.write(Buffer.from([0x44, 0x7f, 0xff, 0xff, 0xff, 0, 1])), { askMs: SHORT_MS },
    { code: 'writer-timeout' }],
    ['that answers no row', (_, socket) => socket.write(Buffer.concat([
      message('C', Buffer.from('SELECT 0\0')), ready()])), {}, { code: 'writer-failed' }],
    ['that answers nonsense', (_, socket) => socket.write(rowOf({
      server_version: '\u001b[2J', data_directory: '../../etc' })), {}, { code: 'writer-failed' }],
    ['that is another server', (_, socket) => socket.write(rowOf({
      server_version: '15', data_directory: '/', place: '/' })), {},
    { code: 'writer-failed', message: /not found before/ }],
  ]
  for (const [title, answer, limits, expected, greet] of rows) {
    test(`${title} is a fault, and no connection to it is left`, async () => {
      const { host, prepare } = await prepareFake(answer, limits, greet)
      await using it = host
      await assert.rejects(prepare(), expected)
      while (it.openConnections > 0) await systemClock.sleep(10, never)
    })
  }
})

test('a cluster whose record is missing or is another one\'s is known, and where it lies is not',
  async () => {
    await using host = await FakeHost.make()
    await host.add({ pid: PID, program: 'postgres', cwd: `${host.path}/data` })
    await host.add({ pid: PID + 1, program: 'postgres', parent: PID, cwd: `${host.path}/data` })
    const writer = postgresWriter({ clock: systemClock, procRoot: host.procRoot })
    const found = await writer.discover(never)
    assert.deepEqual(found.map(({ name, data }) => [name, data.state]), [
      [`postgres process ${PID}`, 'unknown']])
    await assert.rejects(writer.prepare(found[0] as DiscoveredApplication, never), {
      code: 'writer-failed' })
  })

test('a cluster of an account that we may not look at hides no other, and is known to be there',
  async () => {
    await using host = await FakeHost.make()
    await host.add({ pid: PID, program: 'postgres', cwd: `${host.path}/data` })
    for (const [pid, parent] of [[PID + 1, 1], [PID + 2, PID + 1]] as const) {
      await host.add({ pid, parent, program: 'postgres', cwd: `${host.path}/theirs` })
      await rm(`${host.procRoot}/${pid}/exe`)
      await writeFile(`${host.procRoot}/${pid}/exe`, '') // what it links to is not for us
    }
    const writer = postgresWriter({ clock: systemClock, procRoot: host.procRoot })
    const found = await writer.discover(never)
    assert.deepEqual(found.map(({ name, kind, data }) =>
      [name, kind, data.state === 'unknown' && data.detail]), [
      [`postgres process ${PID}`, 'protected',
        'it runs without a record of its own in its data directory'],
      [`postgres process ${PID + 1}`, 'protected',
        `process ${PID + 1} may be a server and cannot be looked at`]])
    await assert.rejects(writer.prepare(found[1] as DiscoveredApplication, never),
      /runs as another account/)
  })

test('durability is safe only where each setting is known to keep what was committed', () => {
  const safe = {
    fsync: 'on', full_page_writes: 'on', synchronous_commit: 'on',
    synchronous_commit_off_elsewhere: '0', wal_level: 'replica', data_checksums: 'off',
    wal_sync_method: 'fdatasync',
  }
  const rows: readonly (readonly [Readonly<Record<string, string | null>>, string])[] = [
    [{}, 'safe'], [{ synchronous_commit: 'local' }, 'safe'],
    [{ fsync: 'off' }, 'unsafe'], [{ full_page_writes: 'off' }, 'unsafe'],
    [{ synchronous_commit: 'off' }, 'unsafe'],
    [{ synchronous_commit_off_elsewhere: '2' }, 'unsafe'],
    [{ fsync: 'maybe' }, 'unknown'], [{ synchronous_commit: null }, 'unknown'],
    [{ wal_sync_method: '' }, 'unknown'], [{ synchronous_commit_off_elsewhere: 'x' }, 'unknown'],
  ]
  for (const [change, state] of rows) {
    assert.equal(durabilityOf({ ...safe, ...change }).state, state, JSON.stringify(change))
  }
})

/** Writes until the other end hangs up. */
function flood(socket: Socket): void {
  const notice = message('N', Buffer.alloc(60_000, 'x'))
  const write = (): void => {
    while (!socket.destroyed && socket.write(notice)) { /* goes on with drain */ }
  }
  socket.on('drain', write)
  write()
}
