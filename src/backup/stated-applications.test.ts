import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  gradeOf, type ApplicationsEvidence, type DiskLeftOut, type Evidence, type StatedWriter,
} from '../consistency/mod.ts'
import { sampleEvidence } from '../consistency/testing/mod.ts'
import { withStated } from './stated-applications.ts'

const NOBODY: ApplicationsEvidence = {
  declaredNone: false, discovery: { state: 'impossible', reason: 'there is no agent' } }
const SQL: StatedWriter = {
  name: 'SqlServerWriter', kind: 'protected', state: 'stable', metadataDocument: 'w.xml',
  componentsDocument: 'bcd.xml', statement: 'writer {a}, 1 components' }
const SYSTEM: StatedWriter = { ...SQL, name: 'System Writer', kind: 'incidental' }

/** All is well but for the applications, which the platform held. */
function evidenceOf(
  writers: readonly StatedWriter[], leftOut: readonly DiskLeftOut[] = []): Evidence {
  const sample = sampleEvidence()
  const { disks } = sample.instant
  return {
    ...sample,
    hold: { by: 'platform', claimed: 'application', documents: ['w.xml', 'bcd.xml'].map((name) => (
      { name, text: '<x/>', shows: 'application' })) },
    coverage: { ...sample.coverage, leftOut },
    applications: withStated(NOBODY, { writers }, { disks, leftOut }),
  }
}

test('an application that the platform shows raises the machine to application', () => {
  const { grade, applications, reasons } = gradeOf(evidenceOf([SQL, SYSTEM]))
  assert.equal(grade, 'application')
  assert.deepEqual(applications.map(({ name, grade, contract }) => [name, grade, contract]), [
    ['SqlServerWriter', 'application', 'platform-stated'],
    ['System Writer', 'application', 'platform-stated']])
  assert.ok(reasons.some(({ code }) => code === 'applications-by-platform'))
})

test('without an application of its own, or with less shown of it, it is filesystem', () => {
  for (const [writers, code] of [
    [[], 'applications-unknown'], [[SYSTEM], 'no-applications-known'],
    [[{ ...SQL, state: 'failed' }], 'platform-writer-failed'],
    [[{ ...SQL, metadataDocument: 'other' }], 'platform-documents-missing'],
    [[{ ...SQL, componentsDocument: 'other' }], 'platform-documents-missing'],
    [[{ ...SQL, statement: '' }], 'writer-statement-missing'],
  ] as const) {
    const { grade, reasons } = gradeOf(evidenceOf(writers))
    assert.deepEqual([grade, reasons[0]?.code], ['filesystem', code])
  }
})

test('disks that were left out could hold its data, media without any could not', () => {
  const left = (reason: DiskLeftOut['reason']): readonly DiskLeftOut[] =>
    [{ id: 'x', reason, detail: '' }]
  for (const reason of ['independent', 'excluded', 'pass-through', 'hot-added'] as const) {
    const { grade, reasons } = gradeOf(evidenceOf([SQL], left(reason)))
    assert.deepEqual([grade, reasons[0]?.code], ['filesystem', 'application-data-unknown'])
  }
  assert.equal(gradeOf(evidenceOf([SQL], left('read-only'))).grade, 'application')
})

test('what an agent found counts, whatever the platform states', () => {
  const found: ApplicationsEvidence = {
    declaredNone: false, discovery: { state: 'done', by: 'the agent', applications: [] } }
  assert.equal(withStated(found, { writers: [SQL] }, { disks: [], leftOut: [] }), found)
  assert.equal(withStated(NOBODY, {}, { disks: [], leftOut: [] }), NOBODY)
})
