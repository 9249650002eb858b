/** The hold of MariaDB over sessions that are scripted, not real. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Fault } from '../../base/fault.ts'
import { ManualClock } from '../../base/testing/manual-clock.ts'
import { drive } from '../../consistency/testing/mod.ts'
import type { PreparedWriter } from '../../consistency/mod.ts'
import { preparedWriter } from '../prepared-writer.ts'
import type { Row, SqlSession } from '../sql-session.ts'
import { BACKUP_STAGES, MariadbHold, type HoldParts } from './hold.ts'

const limits = { freezeMs: 1000, holdMs: 5000, thawMs: 1000 }
const application = {
  name: 'mariadb', kind: 'protected', recovery: 'self',
  data: { state: 'unknown', detail: '' },
} as const

type Script = (sql: string) => readonly Row[] | Promise<readonly Row[]>

/** Answers as a held server does, but for what `script` answers first. */
class ScriptedSession implements SqlSession {
  isOpen = true
  readonly asked: string[] = []
  readonly #script: (sql: string) => readonly Row[] | Promise<readonly Row[]> | undefined

  constructor(script: (sql: string) => ReturnType<Script> | undefined = () => undefined) {
    this.#script = script
  }

  async query(sql: string): Promise<readonly Row[]> {
    if (!this.isOpen) throw new Fault('writer-failed', 'the session has ended')
    this.asked.push(sql)
    return this.#script(sql) ?? usual(sql)
  }

  destroy(): void {
    this.isOpen = false
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.destroy()
  }
}

function usual(sql: string): readonly Row[] {
  if (sql.includes('connection_id')) return [{ id: '7' }]
  if (sql.includes('master status')) return [{ File: 'bin.1', Position: '100' }]
  if (sql.includes('gtid')) return [{ gtid: '0-1-2' }]
  if (sql.includes('lsn')) return lsn('50', '50')
  return []
}

function lsn(written: string, flushed: string): readonly Row[] {
  return Object.entries({ current: written, flushed, last_checkpoint: '10' })
    .map(([name, value]) => ({ Variable_name: `Innodb_lsn_${name}`, Value: value }))
}

function hold(
  parts: Partial<HoldParts>): { readonly clock: ManualClock; readonly writer: PreparedWriter } {
  const clock = new ManualClock()
  const steps = new MariadbHold({
    holder: new ScriptedSession(), guard: new ScriptedSession(), connectionId: '7',
    method: BACKUP_STAGES, version: { text: '10.11', flavour: 'MariaDB', number: 1011 },
    remarks: '', flushesLater: false, atPrepare: { binlog: null, lsn: null }, limits, clock,
    ...parts,
  })
  const writer = preparedWriter({ application, contract: { kind: 'held' }, limits }, steps, clock)
  return { clock, writer }
}

test('a binary log that went on while it was held shows that the lock was none', async () => {
  let position = 100
  const holder = new ScriptedSession((sql) =>
    sql.includes('master status') ? [{ File: 'bin.1', Position: String(position) }] : undefined)
  const attempt = hold({ holder }).writer.beginFreeze()
  await attempt.held
  position = 200
  const outcome = await attempt.thaw()
  assert.ok(outcome.state === 'thawed' && !outcome.heldThroughout)
  assert.match(outcome.statement, /bin\.1:200.*it had frozen at.*bin\.1:100/)
  assert.ok(holder.asked.includes('backup stage end'))
})

test('a session that has become another one has not held', async () => {
  const holder = new ScriptedSession((sql) =>
    sql.includes('connection_id') ? [{ id: '8' }] : undefined)
  const attempt = hold({ holder }).writer.beginFreeze()
  await attempt.held
  const outcome = await attempt.thaw()
  assert.ok(outcome.state === 'thawed' && !outcome.heldThroughout)
})

test('a freeze that waits is ended through the other session, and looked after', async () => {
  let isThere = true
  const holder = new ScriptedSession((sql) =>
    sql === 'backup stage block_commit' ? new Promise(() => {}) : undefined)
  const guard = new ScriptedSession((sql) => {
    if (sql === 'kill 7') isThere = false
    return sql.includes('processlist') && isThere ? [{ id: '7' }] : []
  })
  const { clock, writer } = hold({ holder, guard })
  const attempt = writer.beginFreeze()
  attempt.held.catch(() => {})
  await assert.rejects(drive(clock, attempt.held), { code: 'writer-timeout' })
  const outcome = await drive(clock, attempt.thaw())
  assert.ok(outcome.state === 'thawed' && !outcome.heldThroughout)
  assert.equal(holder.isOpen, false)
})

test('a lock that cannot be shown to have gone is unknown, within the limit', async () => {
  const holder = new ScriptedSession((sql) => {
    if (sql === 'backup stage end') throw new Fault('writer-failed', 'it said no')
    return undefined
  })
  const guard = new ScriptedSession((sql) => sql.includes('processlist') ? [{ id: '7' }] : [])
  const { clock, writer } = hold({ holder, guard })
  const attempt = writer.beginFreeze()
  await attempt.held
  const startMs = clock.monotonicMs()
  assert.equal((await drive(clock, attempt.thaw())).state, 'unknown')
  assert.ok(clock.monotonicMs() - startMs <= limits.thawMs + 1)
  assert.deepEqual([holder.isOpen, guard.isOpen], [false, false])
})

test('where commits are flushed later, the freeze waits until they are on disk', async () => {
  let asked = 0
  const holder = new ScriptedSession((sql) =>
    sql.includes('lsn') ? lsn('90', ++asked > 3 ? '95' : '80') : undefined)
  const { clock, writer } = hold({ holder, flushesLater: true })
  const attempt = writer.beginFreeze()
  assert.match((await drive(clock, attempt.held)).statement, /lsn 95 on disk/)
  await attempt.thaw()
})

test('the server is told how long the hold may last without us', async () => {
  const holder = new ScriptedSession()
  const attempt = hold({ holder }).writer.beginFreeze()
  await attempt.held
  assert.match(holder.asked[0] ?? '', /wait_timeout = 6\b/)
  await attempt.thaw()
})

test('a hold that its owner forgets ends when it is disposed', async () => {
  const holder = new ScriptedSession()
  const { writer } = hold({ holder })
  await writer.beginFreeze().held
  await writer[Symbol.asyncDispose]()
  assert.ok(holder.asked.includes('backup stage end'))
  assert.equal(holder.isOpen, false)
  await assert.rejects(hold({}).writer.complete(AbortSignal.abort()), { code: 'interrupted' })
})
