import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { ApplicationEvidence, Evidence, WriterEvidence } from './evidence.ts'
import { gradeOf } from './grade.ts'
import type { ReasonCode } from './reasons.ts'
import { codesOf, gets } from './testing/graded.ts'
import {
  SAMPLE_RECOVERABLE, SAMPLE_WRITER_HOLD, sampleApplication, sampleEvidence,
} from './testing/sample-evidence.ts'

function withApplications(...applications: readonly ApplicationEvidence[]): Evidence {
  return sampleEvidence({
    applications: { declaredNone: false, discovery: { state: 'done', by: 'x', applications } } })
}

function withWriter(writer: WriterEvidence): Evidence {
  return withApplications(sampleApplication({ writer }))
}

suite('applications', () => {
  const none = { state: 'done', by: 'x', applications: [] } as const
  const incidental = sampleApplication({
    name: 'browser', kind: 'incidental', recovery: 'unknown',
    writer: { contract: 'none', reason: 'no-writer', detail: '' } })
  const discovered = (discovery: Evidence['applications']['discovery'], declaredNone: boolean) =>
    sampleEvidence({ applications: { declaredNone, discovery } })

  test('no way to look is filesystem at most, whatever the operator declares', () => {
    for (const declaredNone of [false, true]) {
      gets(discovered({ state: 'impossible', reason: 'no channel' }, declaredNone), 'filesystem',
        'applications-unknown')
    }
  })

  test('none found is filesystem, unless the operator declared that there is none', () => {
    gets(discovered(none, false), 'filesystem', 'no-applications-known')
    const declared = discovered(none, true)
    assert.equal(gradeOf(declared).grade, 'application')
    assert.ok(codesOf(declared).includes('applications-declared-none'))
  })

  test('a declaration does not hide an application that was found', () => {
    const unheld = sampleApplication({
      writer: { contract: 'none', reason: 'no-writer', detail: '' } })
    gets(discovered({ ...none, applications: [unheld] }, true), 'filesystem', 'no-writer')
  })

  test('incidental ones are listed and neither raise nor lower the machine', () => {
    gets(withApplications(incidental), 'filesystem', 'no-applications-known')
    const result = gradeOf(withApplications(sampleApplication(), incidental))
    assert.equal(result.grade, 'application')
    assert.deepEqual(result.applications.map((it) => [it.name, it.grade, it.recovery]),
      [['redis', 'application', 'self'], ['browser', 'filesystem', 'unknown']])
  })

  test('the machine is as weak as its weakest protected application', () => {
    const weak = sampleApplication({ name: 'app', writer: {
      contract: 'none', reason: 'would-truncate-logs', detail: '' } })
    gets(withApplications(sampleApplication(), weak), 'filesystem', 'would-truncate-logs')
  })

  const { freeze, thaw } = SAMPLE_WRITER_HOLD
  assert.ok(freeze.state === 'acknowledged' && thaw.state === 'thawed')
  const failed = {
    state: 'failed', issuedMs: 900, failedMs: 950, fault: { code: 'writer-failed', message: 'x' },
  } as const
  const contracts: readonly [string, WriterEvidence, ReasonCode][] = [
    ['held: a freeze that failed',
      { contract: 'held', ...SAMPLE_WRITER_HOLD, freeze: failed }, 'writer-failed'],
    ['held: frozen after the commit began', {
      contract: 'held', ...SAMPLE_WRITER_HOLD, freeze: { ...freeze, acknowledgedMs: 1031 },
    }, 'writer-hold-not-across'],
    ['held: thawed before the commit ended', {
      contract: 'held', ...SAMPLE_WRITER_HOLD, thaw: { ...thaw, issuedMs: 1039 },
    }, 'writer-hold-not-across'],
    ['held: past its limit',
      { contract: 'held', ...SAMPLE_WRITER_HOLD, limitMs: 69 }, 'writer-hold-too-long'],
    ['held: not throughout', {
      contract: 'held', ...SAMPLE_WRITER_HOLD, thaw: { ...thaw, heldThroughout: false },
    }, 'writer-hold-lost'],
    ['held: the end unknown', {
      contract: 'held', ...SAMPLE_WRITER_HOLD,
      thaw: { state: 'unknown', issuedMs: 1060, detail: 'lost' },
    }, 'writer-hold-lost'],
    ['held: success without a statement', {
      contract: 'held', ...SAMPLE_WRITER_HOLD, freeze: { ...freeze, statement: '' },
    }, 'writer-statement-missing'],
    ['recoverable: a freeze that failed',
      { ...SAMPLE_RECOVERABLE, freeze: failed } as WriterEvidence, 'writer-failed'],
    ['recoverable: without positions', {
      ...SAMPLE_RECOVERABLE, freeze: { ...freeze, positions: null } } as WriterEvidence,
    'positions-missing'],
    ['recoverable: unsafe settings', {
      ...SAMPLE_RECOVERABLE, durability: { state: 'unsafe', settings: 'fsync=off' },
    } as WriterEvidence, 'durability-unsafe'],
    ['recoverable: settings nobody could read', {
      ...SAMPLE_RECOVERABLE, durability: { state: 'unknown', settings: '' } } as WriterEvidence,
    'durability-unknown'],
    ['recoverable: positions taken too late', {
      ...SAMPLE_RECOVERABLE, freeze: { ...freeze, acknowledgedMs: 1031 } } as WriterEvidence,
    'writer-hold-not-across'],
  ]
  for (const [name, writer, code] of contracts) {
    test(`${name} is filesystem`, () => gets(withWriter(writer), 'filesystem', code))
  }

  test('the recoverable contract, fulfilled, is application', () => {
    assert.equal(gradeOf(withWriter(SAMPLE_RECOVERABLE)).grade, 'application')
  })

  for (const [data, code, own] of [
    [{ state: 'located', diskIds: ['vdb', 'vdz'] }, 'application-not-covered', 'not-covered'],
    [{ state: 'outside', detail: 'nfs' }, 'application-not-covered', 'not-covered'],
    [{ state: 'unknown', detail: 'x' }, 'application-data-unknown', 'filesystem'],
    [{ state: 'located', diskIds: [] }, 'application-data-unknown', 'filesystem'],
  ] as const) {
    test(`data ${data.state} (${code})`, () => {
      const evidence = withApplications(sampleApplication({ data }))
      gets(evidence, 'filesystem', code)
      assert.equal(gradeOf(evidence).applications[0]?.grade, own)
    })
  }
})
