/** Backups of a guest with four databases under load: each restored, booted and asked. */

import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import type { BackupSummary } from '../../src/backup/mod.ts'
import type { ApplicationEvidence } from '../../src/consistency/mod.ts'
import {
  captureWindow, checkRows, redoOf, type BootReport, type Redo, type RunningGuest,
} from '../../src/demo/mod.ts'
import { backupAll, bootRestored, moreOfEach, TABLES } from './full-guest.ts'
import { backup } from './rig.ts'

/** What the evidence must say of each: the application's name begins so. */
const EXPECTED = [
  { name: 'postgres ', contract: 'recoverable', states: /redo=.*durable=/s, positions: true },
  { name: 'mariadb ', contract: 'held', states: /binlog\.\d+:\d+ gtid .*lsn \d+/, positions: true },
  { name: 'redis ', contract: 'held', states: /append-only file synced/, positions: true },
  { name: 'sqlite ', contract: 'held', states: /begin immediate/, positions: false },
] as const

export interface Round {
  readonly summary: BackupSummary
  readonly redo: Redo
}

/** One backup that must be of the grade `application`, and all that was acknowledged in it. */
export async function applicationRound(
  t: TestContext, guest: RunningGuest, repositoryPath: string): Promise<Round> {
  await moreOfEach(guest, 20, t)
  const summary = await backupAll(t, {
    guest, repositoryPath, settings: { require: 'application', onWeaker: undefined } })
  assert.equal(summary.result.grade, 'application', JSON.stringify(summary.result))
  assert.equal(summary.judgement.kind, 'fine')
  for (const line of holdsOf(summary)) t.diagnostic(line)
  checkStatements(summary)

  await moreOfEach(guest, 1, t) // all of them go on
  const boot = await bootRestored(t, repositoryPath, summary.pointId)
  const findings = checkRows(boot, {
    tables: TABLES, witness: guest.witness, claimsFrozen: true,
    captured: captureWindow(summary.evidence) })
  for (const { holds, claim, detail } of findings) assert.ok(holds, `${claim}: ${detail}`)
  assert.deepEqual(boot.logs.get('redis') ?? [], [], 'Redis starts without being repaired')
  const redo = redoOf(boot)
  t.diagnostic(`recovered from: ${lossOf(boot, guest, summary)}; ${redoLine(redo)}`)
  return { summary, redo }
}

/** The same machine without asking anybody: what each engine's own settings keep must be there. */
export async function crashRound(
  t: TestContext, guest: RunningGuest, repositoryPath: string): Promise<Redo> {
  await moreOfEach(guest, 20, t)
  const summary = await backup(t, {
    guest, repositoryPath, agent: false, settings: { require: 'crash', onWeaker: undefined } })
  assert.equal(summary.result.grade, 'crash')
  const boot = await bootRestored(t, repositoryPath, summary.pointId)
  const { startMs } = captureWindow(summary.evidence)
  for (const table of TABLES) {
    // Redis with `appendfsync everysec` may lose two seconds; the others, nothing.
    const safeMs = startMs - (table === 'events' ? 2000 : 0)
    const acknowledged = guest.witness.lastAcknowledgedBy(table, safeMs)?.id ?? 0
    const found = boot.tables.get(table)
    assert.ok(acknowledged > 0 && (found?.maxId ?? 0) >= acknowledged,
      `${table}: ${acknowledged} acknowledged, ${found?.maxId} found`)
    assert.deepEqual([found?.count, found?.integrity], [found?.maxId, 'ok'])
  }
  const redo = redoOf(boot)
  const repairs = boot.logs.get('redis') ?? []
  t.diagnostic(`crash grade: ${lossOf(boot, guest, summary)}; ${redoLine(redo)}; ` +
    `Redis ${repairs.length === 0 ? 'started by itself' : 'had to be repaired'}`)
  return redo
}

/** Each application is named, fulfils its contract, and stated where it stood. */
function checkStatements(summary: BackupSummary): void {
  const { discovery } = summary.evidence.applications
  assert.ok(discovery.state === 'done')
  const found = discovery.applications.filter(({ kind }) => kind === 'protected')
  assert.equal(found.length, EXPECTED.length, found.map(({ name }) => name).join())
  for (const application of found) checkStatement(application, summary)
}

function checkStatement(
  { name, writer }: ApplicationEvidence, { result }: BackupSummary): void {
  const expected = EXPECTED.find((it) => name.startsWith(it.name))
  assert.ok(expected !== undefined, name)
  assert.equal(writer.contract, expected.contract, name)
  assert.ok('freeze' in writer && writer.freeze.state === 'acknowledged', name)
  assert.match(writer.freeze.statement, expected.states)
  assert.equal(writer.freeze.positions !== null, expected.positions, name)
  assert.equal(result.applications.find((it) => it.name === name)?.grade, 'application', name)
}

function holdsOf({ evidence, heldMs, stalledMs, durationMs, mode }: BackupSummary): string[] {
  const { discovery } = evidence.applications
  const lines = discovery.state === 'done' ? discovery.applications.map(holdOf) : []
  return [
    `${mode}, ${Math.round(durationMs)} ms in all; file systems held ` +
      `${Math.round(heldMs ?? NaN)} ms, stalled ${Math.round(stalledMs ?? NaN)} ms`,
    ...lines,
  ]
}

function holdOf({ name, writer }: ApplicationEvidence): string {
  if (writer.contract !== 'held' && writer.contract !== 'recoverable') return `${name}: none`
  const { freeze, thaw, limitMs } = writer
  if (freeze.state !== 'acknowledged') return `${name}: ${freeze.fault.message}`
  const ms = Math.round(thaw.issuedMs - freeze.acknowledgedMs)
  return `${name}: ${writer.contract} for ${ms} of ${limitMs} ms; ${freeze.statement.slice(0, 160)}`
}

/** By table, how many rows that were acknowledged before the instant are not there. */
function lossOf(boot: BootReport, { witness }: RunningGuest, { evidence }: BackupSummary): string {
  const { startMs } = captureWindow(evidence)
  return TABLES.map((table) => {
    const acknowledged = witness.lastAcknowledgedBy(table, startMs)?.id ?? 0
    const found = boot.tables.get(table)?.maxId ?? 0
    return `${table} ${acknowledged} acknowledged, ${Math.max(0, acknowledged - found)} lost`
  }).join(', ')
}

const redoLine = ({ postgresql, mariadb }: Redo): string =>
  `redo PostgreSQL ${postgresql ?? 'unknown'} bytes, InnoDB ${mariadb ?? 'unknown'} bytes`
