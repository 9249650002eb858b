/** What a token is worth as evidence, row by row. */

import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { Evidence, HoldEvidence, WriterEvidence } from './evidence.ts'
import { hookedEvidence, type HookedApplication, type HookReport } from './freeze-hooks.ts'
import { gradeOf } from './grade.ts'
import { FakeWriter, sampleEvidence } from './testing/mod.ts'
import { ManualClock } from '../base/testing/manual-clock.ts'
import type { PreparedWriter } from './writer.ts'

const { hold, instant } = sampleEvidence({})
assert.ok(hold.by === 'requestor' && hold.freeze.state === 'acknowledged')
assert.ok(hold.thaw.state === 'thawed')
/** What the file systems were held for, without the snapshot. */
const LEAST_MS = instant.startMs - hold.freeze.acknowledgedMs + hold.thaw.issuedMs - instant.endMs

const clock = new ManualClock()
const redis = new FakeWriter('redis', { clock }).prepared()
const postgres = new FakeWriter('postgres', { clock, contract: {
  kind: 'recoverable', durability: { state: 'safe', settings: 'fsync=on' } } }).prepared()

const HELD: HookedApplication = {
  held: { statement: 'locked', positions: { beforeCheckpoint: '0/1', atFreeze: '0/2' } },
  thawed: { state: 'thawed', heldThroughout: true, statement: 'unlocked' }, heldMs: LEAST_MS + 50 }

function reportOf(
  state: 'failed' | 'frozen' | 'thawed', changes: Partial<HookedApplication> = {}): HookReport {
  return { state, applications: new Map([['redis', { ...HELD, ...changes }]]) }
}

/** The reason why the application is not held; `held` if it is. */
function outcome(
  writer: PreparedWriter, report: HookReport, how: HoldEvidence = hold): string {
  const known = new Map('applications' in report
    ? [...report.applications].map(([, it]) => [writer.application.name, it]) : [])
  const own = 'missing' in report ? report : { ...report, applications: known }
  const did = hookedEvidence([writer], own, how, instant).get(writer.application.name)
  assert.ok(did !== undefined)
  const { applications } = gradeOf(withWriter(did))
  return applications[0]?.reason?.code ?? 'held'
}

function withWriter(writer: WriterEvidence): Evidence {
  const [sample] = sampleApplications()
  assert.ok(sample !== undefined)
  return sampleEvidence({ applications: { declaredNone: false, discovery: {
    state: 'done', by: 'x', applications: [{ ...sample, writer }] } } })
}

function sampleApplications() {
  const { discovery } = sampleEvidence({}).applications
  return discovery.state === 'done' ? discovery.applications : []
}

const unfrozen: HoldEvidence = { ...hold, freeze: {
  state: 'failed', issuedMs: 1, failedMs: 2, fault: { code: 'freeze-failed', message: 'no' } } }

suite('a token as evidence', () => {
  const rows: readonly (readonly [string, HookReport, string, string])[] = [
    ['of this freeze, all well', reportOf('thawed'), 'held', 'held'],
    ['missing', { missing: 'x' }, 'hook-not-run', 'hook-not-run'],
    ['without this application', { state: 'thawed', applications: new Map() },
      'hook-not-run', 'hook-not-run'],
    ['of a hook that failed because of it',
      reportOf('failed', { held: { code: 'writer-failed', message: 'm' } }),
      'writer-failed', 'writer-failed'],
    ['of a hook that failed because of another', reportOf('failed'), 'hook-failed', 'hook-failed'],
    ['of a hook that failed before it was asked', { state: 'failed', applications: new Map() },
      'hook-failed', 'hook-failed'],
    // What recovers by itself needs no thaw; what was locked has to have been so to the end.
    ['without the thaw', reportOf('frozen', { thawed: null, heldMs: null }),
      'writer-hold-lost', 'held'],
    ['of a thaw that failed', reportOf('thawed', { thawed: { state: 'unknown', detail: 'd' } }),
      'writer-hold-lost', 'held'],
    ['of a lock that was lost', reportOf('thawed', {
      thawed: { state: 'thawed', heldThroughout: false, statement: 's' } }),
    'writer-hold-lost', 'held'],
    ['of a hold without a length', reportOf('thawed', { heldMs: null }),
      'writer-hold-lost', 'held'],
    ['of a hold that was too short', reportOf('thawed', { heldMs: LEAST_MS * 0.9 - 101 }),
      'writer-hold-lost', 'held'],
    ['by a clock that is a little slow', reportOf('thawed', { heldMs: LEAST_MS * 0.96 }),
      'held', 'held'],
    ['in which nothing is stated',
      reportOf('thawed', { held: { statement: ' ', positions: null } }),
      'writer-statement-missing', 'writer-statement-missing'],
    ['without positions', reportOf('thawed', { held: { statement: 's', positions: null } }),
      'held', 'positions-missing'],
  ]
  for (const [what, report, locked, recoverable] of rows) {
    test(`${what}: ${locked}, ${recoverable}`, () => {
      assert.deepEqual([outcome(redis, report), outcome(postgres, report)], [locked, recoverable])
    })
  }

  test('is worth nothing where the file systems were not frozen', () => {
    assert.equal(outcome(redis, reportOf('frozen'), unfrozen), 'writer-failed')
    const nobody: HoldEvidence = { by: 'nobody', reason: 'declined', detail: '' }
    assert.equal(outcome(redis, reportOf('thawed'), nobody), 'writer-not-tried')
  })

  test('is worth nothing for a lock where the thaw of the file systems is not known', () => {
    for (const thaw of [
      { state: 'unknown', issuedMs: hold.thaw.issuedMs, detail: '' },
      { state: 'not-frozen', issuedMs: hold.thaw.issuedMs }] as const) {
      assert.equal(outcome(redis, reportOf('thawed'), { ...hold, thaw }), 'writer-hold-lost')
    }
  })

  test('is cut to what evidence keeps', () => {
    const long = 'x'.repeat(20_000)
    const did = hookedEvidence([redis], reportOf('thawed', {
      held: { statement: long, positions: { beforeCheckpoint: long, atFreeze: long } },
      thawed: { state: 'thawed', heldThroughout: true, statement: long } }), hold, instant)
    const writer = did.get('redis')
    assert.ok(writer?.contract === 'held' && writer.freeze.state === 'acknowledged')
    assert.equal(writer.freeze.statement.length, 4096)
    assert.equal(writer.freeze.positions?.atFreeze.length, 256)
  })
})
