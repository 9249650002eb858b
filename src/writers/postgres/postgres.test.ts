/** The writer of PostgreSQL against real servers. */

import assert from 'node:assert/strict'
import { chown, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { userInfo } from 'node:os'
import { after, before, suite, test } from 'node:test'
import { systemClock } from '../../base/clock.ts'
import type { PreparedWriter, Writer } from '../../consistency/mod.ts'
import { writerContract } from '../../consistency/testing/mod.ts'
import { PostgresServer } from '../testing/postgres-server.ts'
import { ServerFolder, stopProcess } from '../testing/server-folder.ts'
import { isBefore } from './questions.ts'
import { postgresWriter, type PostgresOptions } from './writer.ts'

const never = new AbortController().signal
let folder: ServerFolder
let server: PostgresServer

before(async () => {
  folder = await ServerFolder.make('postgres')
  server = await PostgresServer.start(folder, 'main', 5433)
})
after(() => folder[Symbol.asyncDispose]())

/** What no test waits for on purpose: a busy machine may take long. */
const PATIENT = { connectMs: 120_000, askMs: 120_000, freezeMs: 60_000, thawMs: 60_000 }

const writer = ({ limits, ...options }: Partial<PostgresOptions> = {}): Writer =>
  postgresWriter({
    clock: systemClock, procRoot: folder.procRoot, limits: { ...PATIENT, ...limits }, ...options })

async function prepare(options: Partial<PostgresOptions> = {}): Promise<PreparedWriter> {
  const it = writer(options)
  const [application] = await it.discover(never)
  assert.ok(application !== undefined)
  return it.prepare(application, never)
}

writerContract('postgres', () => Promise.resolve({
  writer: writer(), isHeld: () => Promise.resolve(false), [Symbol.asyncDispose]: async () => {},
}))

suite('PostgreSQL', () => {
  test('a cluster is found with its data, log, tablespaces, each on its mount', async () => {
    const elsewhere = await mkdtemp('/dev/shm/sp-') // a mount of its own, everywhere
    try {
      await chown(elsewhere, folder.account.uid, folder.account.gid)
      await server.query(`create tablespace other location '${elsewhere}'`)
      const [application, ...more] = await writer().discover(never)
      assert.deepEqual(more, [])
      assert.ok(application?.data.state === 'located')
      const { places } = application.data
      assert.equal(places.find(({ path }) => path === elsewhere)?.mountpoint, '/dev/shm')
      assert.equal(places.find(({ path }) => path === elsewhere)?.type, 'tmpfs')
      assert.ok(places.some(({ path }) => path === server.dataFolder))
      assert.ok(places.some(({ path }) => path === `${server.dataFolder}/pg_wal`))
    } finally {
      await server.query('drop tablespace if exists other')
      await rm(elsewhere, { recursive: true })
    }
  })

  test('several clusters are told apart, and each is prepared as itself', async () => {
    await using second = await PostgresServer.start(folder, 'second', 5434)
    const found = await writer().discover(never)
    assert.equal(found.length, 2)
    const application = found.find(({ name }) => name.includes(second.dataFolder))
    assert.ok(application !== undefined)
    await using prepared = await writer().prepare(application, never)
    const attempt = prepared.beginFreeze()
    const [row] = await second.query('select system_identifier::text from pg_control_system()')
    assert.ok((await attempt.held).statement.includes(`=${row?.['system_identifier']},`))
    await attempt.thaw()
  })

  test('under load the positions enclose the checkpoint', async () => {
    await server.query('create table load (n int)')
    const client = await server.client()
    let isLoading = true
    const load = (async () => {
      while (isLoading) await client.query('insert into load select generate_series(1, 50)')
    })()
    try {
      await using prepared = await prepare()
      const attempt = prepared.beginFreeze()
      const { positions } = await attempt.held
      assert.ok(positions !== null)
      const [control] = await server.query(
        'select redo_lsn::text as redo from pg_control_checkpoint()')
      assert.equal(isBefore(control?.['redo'] ?? '', positions.beforeCheckpoint), false)
      assert.ok(isBefore(positions.beforeCheckpoint, positions.atFreeze))
      const outcome = await attempt.thaw()
      assert.ok(outcome.state === 'thawed' && outcome.heldThroughout)
    } finally {
      isLoading = false
      await load
      await client.end()
      await server.query('drop table load')
    }
  })

  test('a transaction that stays open delays nothing', async () => {
    const client = await server.client()
    try {
      await client.query('begin; create table open_ended (n int)')
      await using prepared = await prepare()
      const attempt = prepared.beginFreeze()
      await attempt.held
      assert.equal((await attempt.thaw()).state, 'thawed')
    } finally {
      await client.end()
    }
  })

  test('a session that is ended in the hold is not confirmed', async () => {
    await using prepared = await prepare()
    const attempt = prepared.beginFreeze()
    await attempt.held
    await server.query(`select pg_terminate_backend(pid) from pg_stat_activity
      where application_name = 'stillpoint'`)
    const outcome = await attempt.thaw()
    assert.ok(outcome.state === 'thawed' && !outcome.heldThroughout)
  })

  test('a server that is killed while frozen, and started again, is not confirmed', async () => {
    await using prepared = await prepare()
    const attempt = prepared.beginFreeze()
    await attempt.held
    await server.restart('SIGKILL')
    const outcome = await attempt.thaw()
    assert.ok(outcome.state === 'thawed' && !outcome.heldThroughout)
  })

  test('a server that stops answering delays freeze and thaw by their limits alone', async () => {
    const stopped = async (then: () => Promise<void>): Promise<void> => {
      const [row] = await server.query(
        `select pid::text from pg_stat_activity where application_name = 'stillpoint'`)
      await stopProcess(Number(row?.['pid']))
      await then()
      process.kill(Number(row?.['pid']), 'SIGCONT')
    }
    await using prepared = await prepare({ limits: { freezeMs: 200, thawMs: 200 } })
    await stopped(async () => {
      const attempt = prepared.beginFreeze()
      await assert.rejects(attempt.held, { code: 'writer-timeout' })
      const outcome = await attempt.thaw()
      assert.ok(outcome.state === 'thawed' && !outcome.heldThroughout)
    })
    await using again = await prepare({ limits: { thawMs: 200 } })
    const attempt = again.beginFreeze()
    await attempt.held
    await stopped(async () => {
      const outcome = await attempt.thaw()
      assert.ok(outcome.state === 'thawed' && !outcome.heldThroughout)
    })
  })

  test('a server that is gone before the freeze fails it', async () => {
    await using prepared = await prepare()
    await server.kill('SIGQUIT') // ends its sessions first: one left alone answers for a moment
    const attempt = prepared.beginFreeze()
    await assert.rejects(attempt.held, { code: 'writer-failed' })
    assert.equal((await attempt.thaw()).state, 'thawed')
    await server.restart()
  })

  test('a tablespace made after the preparation fails the freeze', async () => {
    const path = await folder.mkdir('late')
    await using prepared = await prepare()
    await server.query(`create tablespace late location '${path}'`)
    try {
      await assert.rejects(prepared.beginFreeze().held, /tablespace was made/)
    } finally {
      await server.query('drop tablespace late')
    }
  })

  test('settings that lose what was committed are unsafe, also those of one role', async () => {
    const durability = async (): Promise<string> => {
      await using prepared = await prepare()
      assert.ok(prepared.contract.kind === 'recoverable')
      return prepared.contract.durability.state
    }
    assert.equal(await durability(), 'safe')
    await server.query('create role careless; alter role careless set synchronous_commit = off')
    assert.equal(await durability(), 'unsafe')
    await server.query('drop role careless')
    await server.query('alter system set fsync = off')
    await server.query('select pg_reload_conf()')
    await until(async () => (await server.query('show fsync'))[0]?.['fsync'] === 'off')
    assert.equal(await durability(), 'unsafe')
    await server.query('alter system reset fsync')
    await server.query('select pg_reload_conf()')
    await until(async () => (await server.query('show fsync'))[0]?.['fsync'] === 'on')
  })

  test('a role without rights, and one that is not let in, is a fault with advice', async () => {
    await assert.rejects(prepare({ role: 'nosuch' }), (error: Error & { advice?: string }) =>
      /did not let nosuch in/.test(error.message) && /pg_hba/.test(error.advice ?? ''))
  })

  test('a checkpoint that takes too long passes its limit, and leaves no session', async () => {
    await assert.rejects(
      prepare({ limits: { checkpointMs: 0 } }), { code: 'writer-timeout' })
    await until(async () => (await server.query(`select 1 from pg_stat_activity
      where application_name = 'stillpoint'`)).length === 0)
  })

  test('an aborted preparation leaves no session', async () => {
    const stop = new AbortController()
    const it = writer()
    const [application] = await it.discover(never)
    assert.ok(application !== undefined)
    const preparing = it.prepare(application, stop.signal)
    stop.abort()
    await assert.rejects(preparing, { code: 'interrupted' })
    await until(async () => (await server.query(`select 1 from pg_stat_activity
      where application_name = 'stillpoint'`)).length === 0)
  })

  test('a role with no more than its two rights is enough', async () => {
    await server.query(`create role stillpoint login;
      grant pg_monitor, pg_checkpoint to stillpoint`)
    const us = userInfo().username
    await writeFile(`${server.dataFolder}/pg_ident.conf`, `agent ${us} stillpoint\n`)
    await writeFile(`${server.dataFolder}/pg_hba.conf`,
      'local all stillpoint peer map=agent\nlocal all,replication all peer\n')
    await server.query('select pg_reload_conf()')
    await using prepared = await prepare({ role: 'stillpoint' })
    const attempt = prepared.beginFreeze()
    await attempt.held
    const outcome = await attempt.thaw()
    assert.ok(outcome.state === 'thawed' && outcome.heldThroughout)
    await server.query('revoke pg_checkpoint from stillpoint')
    await assert.rejects(prepare({ role: 'stillpoint' }), /checkpoint/i)
  })

  test('a standby is held at its replay position, with the redo of its primary', async () => {
    await using standby = await PostgresServer.startStandby(folder, 'standby', 5435, server)
    await until(async () => (await standby.query(
      'select 1 where pg_last_wal_replay_lsn() is not null')).length === 1)
    const application = (await writer().discover(never))
      .find(({ name }) => name.includes(standby.dataFolder))
    assert.ok(application !== undefined)
    await using prepared = await writer().prepare(application, never)
    const attempt = prepared.beginFreeze()
    const { statement, positions } = await attempt.held
    assert.match(statement, /standby/)
    assert.ok(positions !== null)
    assert.equal(isBefore(positions.atFreeze, positions.beforeCheckpoint), false)
    await standby.query('select pg_promote()')
    const outcome = await attempt.thaw()
    assert.ok(outcome.state === 'thawed' && !outcome.heldThroughout)
  })
})

/** Waits for a condition, not for a time. */
async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await systemClock.sleep(20, never)
}
