/** Whoever holds the stub of SQL Server is killed, or stopped: it goes on. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../../base/clock.ts'
import { startHolderProcess, type Holder } from '../testing/holder-process.ts'
import { stopProcess } from '../testing/server-folder.ts'
import { StubSqlServer } from '../testing/stub-sql-server.ts'

const never = new AbortController().signal
const HOLDER = new URL('../testing/hold-sqlserver.ts', import.meta.url).pathname
const LONG = { freezeMs: 60_000, holdMs: 600_000, thawMs: 60_000 }

/** Once it has printed `line`. */
function startHolder(
  stub: StubSqlServer, line: string, { freezeMs, holdMs, thawMs } = LONG): Promise<Holder> {
  return startHolderProcess(
    HOLDER, [stub.host.procRoot, ...[freezeMs, holdMs, thawMs].map(String)], line)
}

test('SQL Server, as a stub of it, goes on when its holder is killed in the hold', async () => {
  await using stub = await StubSqlServer.start()
  await using holder = await startHolder(stub, 'held')
  assert.equal(stub.isHeld, true)
  holder.child.kill('SIGKILL')
  while (stub.isHeld || stub.sessions.size > 0) await systemClock.sleep(5, never)
})

test('it is never held when its holder is killed before the freeze was acknowledged', async () => {
  await using stub = await StubSqlServer.start()
  stub.override = (sql) => sql.includes('= on (group') ? 'silence' : undefined
  await using holder = await startHolder(stub, 'freezing')
  while (!stub.asked.some((sql) => sql.includes('= on (group'))) await systemClock.sleep(5, never)
  holder.child.kill('SIGKILL')
  while (stub.sessions.size > 0) await systemClock.sleep(5, never)
  assert.equal(stub.isHeld, false)
})

test('it goes on by its own limit when its holder is stopped in the hold', async () => {
  await using stub = await StubSqlServer.start()
  await using holder = await startHolder(
    stub, 'held', { freezeMs: 3000, holdMs: 1, thawMs: 1000 })
  await stopProcess(holder.child.pid ?? 0)
  while (stub.isHeld) await systemClock.sleep(5, never)
  assert.ok(stub.asked.some((sql) => sql.startsWith('waitfor delay \'00:00:04.001\'')))
})

test('nothing is held before the server is known to wait for its own limit', async () => {
  await using stub = await StubSqlServer.start()
  let polls = 0
  stub.override = (sql) => sql.includes('dm_exec_requests') && polls++ < 3
    ? { rows: [] } : undefined
  await using holder = await startHolder(stub, 'held')
  const at = (part: string): number => stub.asked.findLastIndex((sql) => sql.includes(part))
  assert.ok(holder.child.exitCode === null && polls > 3)
  assert.ok(at('dm_exec_requests') < at('= on (group'))
})
