/** The writer of SQL Server against a stub of it; no real server was tried (docs/unproven.md). */

import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { suite, test } from 'node:test'
import { systemClock } from '../../base/clock.ts'
import { systemRandom } from '../../base/random.ts'
import { Secret } from '../../base/secret.ts'
import type { PreparedWriter, Writer } from '../../consistency/mod.ts'
import { writerContract } from '../../consistency/testing/mod.ts'
import { STUB_LOGIN, StubSqlServer } from '../testing/stub-sql-server.ts'
import { sqlServerWriter, type SqlServerOptions } from './writer.ts'

const never = new AbortController().signal
const LONG_MS = 60_000

function writerOf(stub: StubSqlServer, options: Partial<SqlServerOptions> = {}): Writer {
  const { user, password } = STUB_LOGIN
  return sqlServerWriter({
    clock: systemClock, random: systemRandom, procRoot: stub.host.procRoot,
    login: { user, password: new Secret(password) }, ...options,
    limits: { connectMs: LONG_MS, askMs: LONG_MS, freezeMs: LONG_MS, thawMs: LONG_MS,
      ...options.limits } })
}

async function prepare(
  stub: StubSqlServer, options: Partial<SqlServerOptions> = {}): Promise<PreparedWriter> {
  const writer = writerOf(stub, options)
  const [application] = await writer.discover(never)
  assert.ok(application !== undefined)
  return writer.prepare(application, never)
}

writerContract('the writer of SQL Server, against a stub', async () => {
  const stub = await StubSqlServer.start()
  return {
    writer: writerOf(stub),
    isHeld: async () => stub.isHeld,
    [Symbol.asyncDispose]: () => stub[Symbol.asyncDispose](),
  }
})

suite('SQL Server, as a stub of it', () => {
  test('is found with the folders of its files', async () => {
    await using stub = await StubSqlServer.start()
    assert.deepEqual(await writerOf(stub).discover(never), [{
      name: 'sqlserver', kind: 'protected', recovery: 'self', data: { state: 'located', places: [
        { path: stub.dataFolder, mountpoint: '/', type: 'ext4' },
        { path: `${stub.host.path}/mssql`, mountpoint: '/', type: 'ext4' }] } }])
  })

  test('states what it holds: every open database, and those that are not', async () => {
    await using stub = await StubSqlServer.start()
    await using it = await prepare(stub)
    const attempt = it.beginFreeze()
    const { statement } = await attempt.held
    assert.equal(statement.replaceAll(/for \d+ ms/g, 'for … ms'),
      'SQL Server 16.0.4165.4, session 52, SUSPEND_FOR_SNAPSHOT_BACKUP, COPY_ONLY: ' +
      'a ] and \' b frozen for … ms by session 52, shop frozen for … ms by session 52; ' +
      'not open: old OFFLINE')
    const outcome = await attempt.thaw()
    assert.ok(outcome.state === 'thawed' && outcome.heldThroughout)
    await it.complete(never)
    while (stub.sessions.size > 0) await systemClock.sleep(5, never)
  })

  test('leaves its metadata where it was told to, and takes it away when nothing came of it',
    async () => {
      await using stub = await StubSqlServer.start()
      const metadataFolder = `${stub.host.path}/it's`
      await mkdir(metadataFolder)
      for (const isSealed of [true, false]) {
        const it = await prepare(stub, { metadataFolder })
        const attempt = it.beginFreeze()
        await attempt.held
        const outcome = await attempt.thaw()
        assert.ok(outcome.state === 'thawed' && outcome.heldThroughout)
        const [path = ''] = /\/[^,]*\.bkm/.exec(outcome.statement) ?? []
        assert.equal(existsSync(path), true)
        if (isSealed) assert.ok((await it.complete(never)).statement.includes(path))
        else await it.abort(never)
        assert.equal(existsSync(path), isSealed)
      }
    })

  test('is let go all the same where its metadata cannot be written', async () => {
    await using stub = await StubSqlServer.start()
    stub.override = (sql) => sql.startsWith('backup')
      ? { error: 'Operating system error 5(Access is denied.).' } : undefined
    await using it = await prepare(stub, { metadataFolder: '/nowhere' })
    const attempt = it.beginFreeze()
    await attempt.held
    const outcome = await attempt.thaw()
    assert.ok(outcome.state === 'thawed' && outcome.heldThroughout)
    assert.match(outcome.statement, /wrote no metadata \(.*Access is denied/)
    assert.equal(stub.isHeld, false)
  })

  const lost: readonly (readonly [string, (stub: StubSqlServer) => void])[] = [
    ['somebody else resumed it', (stub) => stub.resume()],
    ['it was resumed and suspended again', (stub) => stub.resumeAndSuspend()],
    ['its session was killed', (stub) => stub.sessions.get(52)?.stream.destroy()],
  ]
  for (const [what, lose] of lost) {
    test(`is not said to have held when ${what}`, async () => {
      await using stub = await StubSqlServer.start()
      await using it = await prepare(stub)
      const attempt = it.beginFreeze()
      await attempt.held
      lose(stub)
      const outcome = await attempt.thaw()
      assert.ok(outcome.state === 'thawed' && !outcome.heldThroughout, JSON.stringify(outcome))
      assert.equal(stub.isHeld, false)
    })
  }

  test('is not known to be let go when the server died, and no session is left', async () => {
    await using stub = await StubSqlServer.start()
    await using it = await prepare(stub, { limits: { thawMs: 300 } })
    const attempt = it.beginFreeze()
    await attempt.held
    stub.hangUp()
    assert.equal((await attempt.thaw()).state, 'unknown')
    assert.equal(stub.isHeld, false)
  })

  test('is ended from another session when the freeze does not come back', async () => {
    await using stub = await StubSqlServer.start()
    stub.override = (sql) => sql.includes('= on (group') ? 'silence' : undefined
    await using it = await prepare(stub, { limits: { freezeMs: 300 } })
    const attempt = it.beginFreeze()
    await assert.rejects(attempt.held, { code: 'writer-timeout' })
    const outcome = await attempt.thaw()
    assert.ok(outcome.state === 'thawed' && !outcome.heldThroughout)
    assert.match(outcome.statement, /session 52 has ended/)
    assert.equal(stub.sessions.has(52), false)
  })

  for (const [what, reply] of [
    ['does not come back', 'silence'], ['does nothing', { rows: [] }],
  ] as const) {
    test(`is ended from another session when the thaw ${what}`, async () => {
      await using stub = await StubSqlServer.start()
      stub.override = (sql) => sql.endsWith('= off') ? reply : undefined
      await using it = await prepare(stub, { limits: { thawMs: 4000 } })
      const attempt = it.beginFreeze()
      await attempt.held
      const outcome = await attempt.thaw()
      assert.ok(outcome.state === 'thawed' && !outcome.heldThroughout, JSON.stringify(outcome))
      assert.equal(stub.isHeld, false)
    })
  }

  const refusals: readonly (readonly [string, (stub: StubSqlServer) => void, RegExp])[] = [
    ['older', (stub) => { stub.version = '15.0.4385.2' }, /has no snapshots of databases/],
    ['without an open database', (stub) => stub.databases.clear(), /no open database/],
    ['that does not encrypt', (stub) => { stub.encryption = 2 }, /does not encrypt/],
    ['that refuses', (stub) => {
      stub.override = (sql) => sql.includes('ProductVersion') ? { error: 'No.' } : undefined
    }, /SQL Server refused: No\. \(3000\)/],
  ]
  for (const [what, change, said] of refusals) {
    test(`one ${what} is refused, and no session is left`, async () => {
      await using stub = await StubSqlServer.start()
      const writer = writerOf(stub)
      change(stub)
      const [application] = await writer.discover(never)
      assert.ok(application !== undefined)
      await assert.rejects(writer.prepare(application, never), said)
      while (stub.sessions.size > 0) await systemClock.sleep(5, never)
    })
  }

  test('a database that is made, or not frozen, is a failed freeze', async () => {
    for (const change of ['made', 'skipped', 'cleared'] as const) {
      await using stub = await StubSqlServer.start()
      await using it = await prepare(stub)
      if (change === 'made') stub.databases.set('new', 'ONLINE')
      else {
        stub.override = (sql, { id }) => sql.includes('suspend_status') && stub.isHeld
          ? { rows: ['shop', 'a ] and \' b'].map((name) => ({ name, session: String(id), ms: '1',
            frozen: change === 'skipped' && name === 'shop' ? '0' : '1',
            cleared: change === 'cleared' ? '1' : '0' })) } : undefined
      }
      const attempt = it.beginFreeze()
      await assert.rejects(attempt.held, { code: 'writer-failed' })
      stub.override = () => undefined
      await attempt.thaw()
      assert.equal(stub.isHeld, false)
    }
  })

  test('a wrong login, and none, leave it known and its data unknown', async () => {
    await using stub = await StubSqlServer.start()
    const login = { user: 'stillpoint', password: new Secret('wrong') }
    const [wrong] = await writerOf(stub, { login }).discover(never)
    assert.ok(wrong?.data.state === 'unknown')
    assert.match(wrong.data.detail, /Login failed for user 'stillpoint'/)
    const [none] = await sqlServerWriter({
      clock: systemClock, random: systemRandom, procRoot: stub.host.procRoot }).discover(never)
    assert.ok(none?.data.state === 'unknown' && /no login/.test(none.data.detail))
  })
})
