/** Whoever holds a real MariaDB server is killed, or stopped: the server goes on. */

import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import { systemClock } from '../../base/clock.ts'
import { startHolderProcess, type Holder } from '../testing/holder-process.ts'
import { ask, MariadbServer } from '../testing/mariadb-server.ts'
import { ServerFolder, stopProcess } from '../testing/server-folder.ts'

const never = new AbortController().signal
const HOLDER = new URL('../testing/hold-mariadb.ts', import.meta.url).pathname
let folder: ServerFolder
let server: MariadbServer

before(async () => {
  folder = await ServerFolder.make('nobody')
  server = await MariadbServer.start(folder, 'main')
  await server.query('create database t', 'create table t.outside (n int) engine=innodb',
    'create table t.busy (n int) engine=myisam', 'insert into t.busy values (1)')
})
after(() => folder[Symbol.asyncDispose]())

for (const lock of ['automatic', 'read-lock']) {
  suite(`MariaDB by ${lock}`, () => {
    test('goes on when its holder is killed in the hold', async () => {
      await using holder = await startHolder(lock, 'held')
      assert.equal(await canCommit(), false)
      holder.child.kill('SIGKILL')
      while (!(await canCommit())) await systemClock.sleep(20, never)
    })

    test('goes on by its own limit when its holder is stopped in the hold', async () => {
      await using holder = await startHolder(lock, 'held', { holdMs: 3000, thawMs: 1000 })
      assert.equal(await canCommit(), false)
      await stopProcess(holder.child.pid ?? 0)
      while (!(await canCommit())) await systemClock.sleep(20, never)
    })

    test('goes on by its own limit when its holder is killed while the freeze waits', async () => {
      const client = server.client()
      ask(client, 'insert into t.busy select sleep(600) from t.busy limit 1').catch(() => {})
      try {
        await until('info like \'%sleep(600)%\'')
        await using holder = await startHolder(lock, 'freezing', { freezeMs: 2000 })
        await until(`info like 'backup stage block_ddl' or info like 'flush tables%'`)
        holder.child.kill('SIGKILL')
        // A write to the table that is waited for waits too, until the server gives up.
        while (!(await canCommit())) await systemClock.sleep(20, never)
        await until('info like \'backup stage%\' or info like \'flush tables%\'', 0)
      } finally {
        client.destroy()
        await server.query(`kill ${client.threadId}`)
      }
    })
  })
}

/** Once it has printed `line`. */
function startHolder(
  lock: string, line: string,
  { freezeMs = 60_000, holdMs = 600_000, thawMs = 1000 } = {}): Promise<Holder> {
  return startHolderProcess(
    HOLDER, [folder.procRoot, lock, ...[freezeMs, holdMs, thawMs].map(String)], line)
}

async function canCommit(): Promise<boolean> {
  try {
    await server.query('set session lock_wait_timeout = 0', 'insert into t.outside values (1)')
    return true
  } catch (error) {
    assert.match(String(error), /Lock wait timeout/)
    return false
  }
}

/** Waits until so many statements run that fit; not counting the question. */
async function until(condition: string, count = 1): Promise<void> {
  const running = async (): Promise<number> => (await server.query(
    `select 1 as x from information_schema.processlist
      where (${condition}) and id <> connection_id()`)).length
  while (await running() !== count) await systemClock.sleep(20, never)
}
