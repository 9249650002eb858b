import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Evidence, PlatformHold } from './evidence.ts'
import { gradeOf } from './grade.ts'
import type { ReasonCode } from './reasons.ts'
import { sampleApplication, sampleEvidence, sampleVolume } from './testing/sample-evidence.ts'
import type { VssSessionFacts, VssWriterFacts, VssWriterState } from './vss-facts.ts'

const SESSION: VssSessionFacts = {
  transport: 'koffi', statusOf: 'this-session', attributes: 0x400000 }
const IN_ORDER: VssWriterFacts = {
  added: 2, leftOut: 0, afterSnapshot: { state: 5, failure: 0 } }

const DOCUMENTS: PlatformHold['documents'] = [
  { name: 'sql', text: '<WRITER_METADATA/>', shows: 'application' },
  { name: 'components', text: '<BACKUP_COMPONENTS/>', shows: 'application' }]

/** A Windows of one NTFS disk and one protected application, held by VSS. */
function evidenceOf(
  session: VssSessionFacts, seen: VssWriterFacts | undefined, state: 'stable' | 'failed' = 'stable',
): Evidence {
  const application = sampleApplication({
    name: 'SqlServerWriter', data: { state: 'located', diskIds: ['vda'] },
    writer: {
      contract: 'platform-stated', state, metadataDocument: 'sql',
      componentsDocument: 'components', statement: 'two components',
      ...seen === undefined ? {} : { seen } } })
  return sampleEvidence({
    hold: { by: 'platform', claimed: 'application', documents: DOCUMENTS, session },
    fileSystems: {
      ...sampleEvidence().fileSystems,
      volumes: [sampleVolume({ diskIds: ['vda'], type: 'ntfs', sign: 'silent' })] },
    applications: {
      declaredNone: false, discovery: { state: 'done', by: 'x', applications: [application] } },
  })
}

/** The machine's grade, the application's, and why that is not higher. */
function graded(evidence: Evidence): readonly string[] {
  const { grade, applications: [application] } = gradeOf(evidence)
  const why = application?.reason?.code
  return [grade, application?.grade ?? '', ...why === undefined ? [] : [why]]
}

const BELOW = (code: ReasonCode): readonly string[] => ['filesystem', 'filesystem', code]
const TOP: readonly string[] = ['application', 'application']

test('a writer in order, with all of its components, in our own session, is application', () => {
  for (const state of [5, 1]) {
    assert.deepEqual(graded(evidenceOf(SESSION,
      { ...IN_ORDER, afterSnapshot: { state, failure: 0 } })), TOP)
  }
  assert.deepEqual(graded(evidenceOf(SESSION,
    { ...IN_ORDER, afterComplete: { state: 1, failure: 0 } })), TOP)
})

/** VSS_WRITER_STATE from UNKNOWN to FAILED_AT_BACKUPSHUTDOWN, and one that nobody knows. */
const STATES = Array.from({ length: 17 }, (_, state) => state)
const FAILURES = [
  0, 0x80042319, 0x80042336, 0x80042409, 0x800423f0, 0x800423f1, 0x800423f2, 0x800423f3, 0x800423f4,
  0x800423f5, 1, 0xffffffff]

test('every state and failure, added or not, with writers or without: only one is enough', () => {
  let rows = 0
  for (const state of STATES) {
    for (const failure of FAILURES) {
      for (const added of [0, 1]) {
        for (const leftOut of [0, 1]) {
          for (const attributes of [0, 0x400000, 0x10, 0x1d, 0x420009]) {
            for (const statusOf of ['this-session', 'unsure'] as const) {
              const result = graded(evidenceOf({ transport: 'x', statusOf, attributes },
                { added, leftOut, afterSnapshot: { state, failure } }))
              const isEnough = (state === 5 || state === 1) && failure === 0 && added === 1 &&
                leftOut === 0 && (attributes & 0x10) === 0 && statusOf === 'this-session'
              assert.deepEqual(result.slice(0, 2), isEnough ? TOP : ['filesystem', 'filesystem'],
                JSON.stringify({ state, failure, added, leftOut, attributes, statusOf }))
              rows++
            }
          }
        }
      }
    }
  }
  assert.equal(rows, 17 * 12 * 2 * 2 * 5 * 2)
})

test('each lack has its own reason', () => {
  const seen = (state: VssWriterState | null): VssWriterFacts =>
    ({ ...IN_ORDER, afterSnapshot: state })
  for (const [session, facts, code] of [
    [{ ...SESSION, attributes: 0x10 }, IN_ORDER, 'writers-not-involved'],
    [{ ...SESSION, statusOf: 'unsure' }, IN_ORDER, 'writer-status-unsure'],
    [SESSION, { ...IN_ORDER, added: 0 }, 'writer-components-missing'],
    [SESSION, undefined, 'writer-components-missing'],
    [SESSION, { ...IN_ORDER, leftOut: 1 }, 'writer-components-left-out'],
    [SESSION, seen(null), 'platform-writer-failed'],
    [SESSION, seen({ state: 9, failure: 0x800423f3 }), 'platform-writer-failed'],
    [SESSION, seen({ state: 5, failure: 0x800423f4 }), 'platform-writer-failed'],
    [SESSION, { ...IN_ORDER, afterComplete: null }, 'platform-writer-failed'],
    [SESSION, { ...IN_ORDER, afterComplete: { state: 12, failure: 0x800423f3 } },
      'platform-writer-failed'],
    [SESSION, { ...IN_ORDER, afterComplete: { state: 5, failure: 0 } }, 'platform-writer-failed'],
  ] as const) {
    assert.deepEqual(graded(evidenceOf(session, facts)), BELOW(code))
  }
  assert.deepEqual(graded(evidenceOf(SESSION, IN_ORDER, 'failed')), BELOW('platform-writer-failed'))
})

test('NO_WRITERS is never above filesystem, whatever else is claimed of it', () => {
  const evidence = evidenceOf({ ...SESSION, attributes: 0x10 }, IN_ORDER)
  for (const declaredNone of [true, false]) {
    for (const applications of [[], evidence.applications.discovery.state === 'done'
      ? evidence.applications.discovery.applications : []]) {
      const { grade } = gradeOf({ ...evidence, applications: {
        declaredNone, discovery: { state: 'done', by: 'x', applications } } })
      assert.equal(grade, 'filesystem')
    }
  }
})
