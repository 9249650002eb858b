/** The writer of MariaDB against real servers. */

import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import { systemClock } from '../../base/clock.ts'
import type { PreparedWriter, Writer } from '../../consistency/mod.ts'
import { writerContract } from '../../consistency/testing/mod.ts'
import { ask, MariadbServer, ourselves } from '../testing/mariadb-server.ts'
import { ServerFolder, stopProcess } from '../testing/server-folder.ts'
import { mariadbWriter, type MariadbOptions } from './writer.ts'

const never = new AbortController().signal
let folder: ServerFolder
let server: MariadbServer

before(async () => {
  folder = await ServerFolder.make('nobody')
  server = await MariadbServer.start(folder, 'main', ['--log-bin=bin', '--server-id=1'])
  await server.query('create database t', 'create table t.outside (n int) engine=innodb',
    'create table t.load_ (n int) engine=innodb')
})
after(() => folder[Symbol.asyncDispose]())

/** What no test waits for on purpose: a busy machine may take long. */
const PATIENT = { connectMs: 120_000, askMs: 120_000, freezeMs: 60_000, thawMs: 60_000 }

const writer = ({ limits, ...options }: Partial<MariadbOptions> = {}): Writer =>
  mariadbWriter({
    clock: systemClock, procRoot: folder.procRoot, user: ourselves(),
    limits: { ...PATIENT, ...limits }, ...options })

async function prepare(options: Partial<MariadbOptions> = {}): Promise<PreparedWriter> {
  const it = writer(options)
  const [application] = await it.discover(never)
  assert.ok(application !== undefined)
  return it.prepare(application, never)
}

/** A commit from outside either works at once or waits for somebody. */
async function isHeld(): Promise<boolean> {
  try {
    await server.query('set session lock_wait_timeout = 0', 'insert into t.outside values (1)')
    return false
  } catch (error) {
    assert.match(String(error), /Lock wait timeout/)
    return true
  }
}

for (const lock of ['automatic', 'read-lock'] as const) {
  writerContract(`mariadb by ${lock}`, () => Promise.resolve({
    writer: writer({ lock }), isHeld, [Symbol.asyncDispose]: async () => {},
  }))

  suite(`MariaDB by ${lock}`, () => {
    test('nothing commits between freeze and thaw, under load, and all goes on after', async () => {
      const connections = [server.client(), server.client(), server.client()]
      let isLoading = true
      let committed = 0
      const load = connections.map(async (connection) => {
        while (isLoading) {
          await ask(connection, 'insert into t.load_ values (1)')
          committed++
        }
      })
      try {
        await until(() => Promise.resolve(committed > 100))
        await using prepared = await prepare({ lock })
        const attempt = prepared.beginFreeze()
        await attempt.held
        // A reader sees what is committed, and is not kept out.
        const count = async (): Promise<string | null | undefined> =>
          (await server.query('select count(*) as n from t.load_'))[0]?.['n']
        const atFreeze = await count()
        for (let i = 0; i < 20; i++) await systemClock.sleep(5, never)
        assert.equal(await count(), atFreeze)
        const outcome = await attempt.thaw()
        assert.ok(outcome.state === 'thawed' && outcome.heldThroughout, JSON.stringify(outcome))
        const atThaw = committed
        await until(() => Promise.resolve(committed > atThaw + 100))
      } finally {
        isLoading = false
        await Promise.all(load)
        for (const connection of connections) connection.destroy()
      }
    })

    test('a session that is killed has lost its lock, and is not confirmed', async () => {
      await using prepared = await prepare({ lock })
      const attempt = prepared.beginFreeze()
      const { statement } = await attempt.held
      await server.query(`kill ${/connection (\d+)/.exec(statement)?.[1]}`)
      await until(async () => !(await isHeld()))
      const outcome = await attempt.thaw()
      assert.ok(outcome.state === 'thawed' && !outcome.heldThroughout)
    })

    test('a server that is killed while held, and started again, is not confirmed', async () => {
      await using prepared = await prepare({ lock })
      const attempt = prepared.beginFreeze()
      await attempt.held
      await server.kill()
      const outcome = await attempt.thaw()
      assert.ok(outcome.state !== 'thawed' || !outcome.heldThroughout)
      await server.restart()
      assert.equal(await isHeld(), false)
    })

    test('a server that stops answering delays the thaw by its limit alone, and is let go',
      async () => {
        await using prepared = await prepare({ lock, limits: { thawMs: 300 } })
        const attempt = prepared.beginFreeze()
        await attempt.held
        await stopProcess(server.pid)
        const outcome = await attempt.thaw()
        process.kill(server.pid, 'SIGCONT')
        assert.equal(outcome.state, 'unknown')
        await until(async () => !(await isHeld()))
      })

    test('a hold that nobody ends is ended by the server, and is not confirmed', async () => {
      await using prepared = await prepare({ lock, limits: { holdMs: 500, thawMs: 500 } })
      const attempt = prepared.beginFreeze()
      await attempt.held
      await until(async () => !(await isHeld()))
      const outcome = await attempt.thaw()
      assert.ok(outcome.state === 'thawed' && !outcome.heldThroughout)
    })

    test('a statement that runs long passes the limit of the freeze, and none waits for it',
      async () => {
        // The stages wait for writes to other engines, the read lock for any statement.
        await server.query('create table if not exists t.aria_ (n int) engine=myisam',
          'insert into t.aria_ values (1)')
        const client = server.client()
        ask(client, 'insert into t.aria_ select sleep(600) from t.aria_ limit 1').catch(() => {})
        try {
          await until(async () => (await server.query(
            `select 1 as x from information_schema.processlist where info like '%sleep(600)%'
              and id <> connection_id()`)).length > 0)
          await using prepared = await prepare({ lock, limits: { freezeMs: 300 } })
          const attempt = prepared.beginFreeze()
          await assert.rejects(attempt.held, { code: 'writer-timeout' })
          assert.equal((await attempt.thaw()).state, 'thawed')
          assert.equal(await isHeld(), false)
        } finally {
          client.destroy()
          await server.query(`kill ${client.threadId}`).catch(() => {})
        }
      })
  })
}

suite('MariaDB', () => {
  test('a transaction that stays open, and a query that only reads, delay no stage', async () => {
    const [open, reader] = [server.client(), server.client()]
    try {
      await ask(open, 'begin')
      await ask(open, 'insert into t.outside values (2)')
      ask(reader, 'select sleep(600) from t.outside').catch(() => {})
      await using prepared = await prepare()
      const attempt = prepared.beginFreeze()
      await attempt.held
      assert.ok((await attempt.thaw()).state === 'thawed')
      await ask(open, 'commit')
    } finally {
      open.destroy()
      reader.destroy()
      await server.query(`kill ${reader.threadId}`)
    }
  })

  test('the statement has the binlog position, the settings, other engines', async () => {
    await server.query('create or replace table t.fragile (n int) engine=myisam')
    await using prepared = await prepare()
    assert.equal(prepared.application.recovery, 'unknown')
    const attempt = prepared.beginFreeze()
    const { statement, positions } = await attempt.held
    const [row] = await server.query('show master status')
    assert.ok(statement.includes(`binlog ${row?.['File']}:${row?.['Position']} gtid 0-1-`))
    assert.match(statement, /innodb_flush_log_at_trx_commit=1/)
    assert.match(statement, /of MyISAM, which does not recover by itself/)
    assert.ok(positions !== null)
    assert.ok(BigInt(positions.beforeCheckpoint) <= BigInt(positions.atFreeze))
    await assert.rejects(
      server.query('set session lock_wait_timeout = 0', 'insert into t.fragile values (1)'),
      /Lock wait timeout/)
    await attempt.thaw()
    await server.query('drop table t.fragile', 'drop table if exists t.aria_')
  })

  test('what was committed before the hold is in the log on disk, whatever the settings are',
    async () => {
      await server.query('set global innodb_flush_log_at_trx_commit = 0')
      try {
        await using prepared = await prepare()
        await server.query('insert into t.outside values (3)')
        const attempt = prepared.beginFreeze()
        const { positions } = await attempt.held
        const [row] = await server.query(
          `show global status where variable_name = 'Innodb_lsn_flushed'`)
        assert.ok(positions !== null)
        assert.ok(BigInt(row?.['Value'] ?? 0) >= BigInt(positions.atFreeze))
        await attempt.thaw()
      } finally {
        await server.query('set global innodb_flush_log_at_trx_commit = 1')
      }
    })

  test('a user that is not let in is a fault, and where the data lies is unknown', async () => {
    const user = { name: 'nosuch', uid: process.geteuid?.() ?? 0 }
    const [found] = await writer({ user }).discover(never)
    assert.ok(found?.data.state === 'unknown' && /did not let nosuch in/.test(found.data.detail))
    await assert.rejects(writer({ user }).prepare(found, never), { code: 'writer-failed' })
  })

  test('a user with its three rights is enough, as an account of its own', async (t) => {
    if (process.geteuid?.() !== 0) return t.skip('only root can be another account')
    const [name, uid] = ['nobody', folder.account.uid]
    await server.query(`create user nobody@localhost identified via unix_socket`,
      'grant reload, process, binlog monitor on *.* to nobody@localhost')
    await using prepared = await prepare({ user: { name, uid } })
    const attempt = prepared.beginFreeze()
    await attempt.held
    assert.equal(await isHeld(), true)
    const outcome = await attempt.thaw()
    assert.ok(outcome.state === 'thawed' && outcome.heldThroughout)
    for (const right of ['reload', 'process', 'binlog monitor']) {
      await server.query(`revoke ${right} on *.* from nobody@localhost`)
      await assert.rejects(prepare({ user: { name, uid } }), { code: 'writer-failed' }, right)
      await server.query(`grant ${right} on *.* to nobody@localhost`)
    }
    await server.query('drop user nobody@localhost')
  })
})

/** Waits for a condition, not for a time. */
async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await systemClock.sleep(20, never)
}
