import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { gradeOf, type GradeResult } from './grade.ts'
import { GRADES, type Grade } from './grade-scale.ts'
import { judge, resolvePolicy, type Policy } from './policy.ts'
import type { FileSystemList } from './evidence.ts'
import { predictGrade, type Prospect } from './predict.ts'
import { SAMPLE_MOUNTS, sampleApplication, sampleEvidence } from './testing/sample-evidence.ts'

const unset = { require: undefined, onWeaker: undefined }

suite('what is required', () => {
  test('only an explicit setting asks for less than the best so far', () => {
    assert.deepEqual(resolvePolicy({ ...unset, require: 'torn' }, 'application', 'filesystem'),
      { require: 'torn', origin: 'operator', onWeaker: 'keep' })
    assert.deepEqual(resolvePolicy(unset, 'filesystem', 'crash'),
      { require: 'filesystem', origin: 'best-so-far', onWeaker: 'keep' })
  })

  test('the first run is held to what was predicted', () => {
    assert.deepEqual(resolvePolicy({ ...unset, onWeaker: 'fail' }, undefined, 'filesystem'),
      { require: 'filesystem', origin: 'predicted', onWeaker: 'fail' })
  })

  test('no default asks for torn', () => {
    assert.equal(resolvePolicy(unset, 'torn', 'application').require, 'crash')
    assert.equal(resolvePolicy(unset, undefined, 'torn').require, 'crash')
  })
})

suite('judging', () => {
  const whole = { kind: 'whole', leftOut: [], unaccepted: [], rechecked: true } as const
  const result = (grade: Grade, changes: Partial<GradeResult> = {}) =>
    ({ grade, reasons: [], coverage: whole, ...changes })
  const policy = (require: Grade, onWeaker: Policy['onWeaker'] = 'keep'): Policy =>
    ({ require, origin: 'operator', onWeaker })

  test('a grade at or above what is required is fine, one below is not', () => {
    for (const [at, grade] of GRADES.entries()) {
      for (const [wanted, require] of GRADES.entries()) {
        assert.equal(judge(result(grade), policy(require)).kind, at >= wanted ? 'fine' : 'weaker')
      }
    }
  })

  test('a weaker point is stored only where the policy keeps it', () => {
    const keep = judge(result('crash'), policy('filesystem'))
    const fail = judge(result('crash'), policy('filesystem', 'fail'))
    assert.deepEqual([keep.kind === 'weaker' && keep.store, fail.kind === 'weaker' && fail.store],
      [true, false])
  })

  test('what is torn is never stored unless torn is what was asked for', () => {
    const judged = judge(result('torn'), policy('crash'))
    assert.equal(judged.kind === 'weaker' && judged.store, false)
    assert.equal(judge(result('torn'), policy('torn')).kind, 'fine')
  })

  test('a disk left out without an exclude is weaker although the grade is not', () => {
    const disk = { id: 'sdz', reason: 'pass-through', detail: 'a raw device' } as const
    const judged = judge(
      result('application', { coverage: { ...whole, kind: 'partial', unaccepted: [disk] } }),
      policy('crash'))
    assert.ok(judged.kind === 'weaker' && judged.store)
    assert.match(judged.because[0] ?? '', /Disk sdz is not in the point \(pass-through\)/)
  })

  test('disks that were not read again are weaker', () => {
    const judged = judge(
      result('crash', { coverage: { ...whole, kind: 'partial', rechecked: false } }),
      policy('crash'))
    assert.equal(judged.kind, 'weaker')
  })

  test('the sentence says what is required, since when, and why it was missed', () => {
    const weak = gradeOf(sampleEvidence({
      hold: { by: 'nobody', reason: 'agent-silent', detail: 'no answer within 3 s' } }))
    const judged = judge(weak, { ...policy('filesystem'), origin: 'best-so-far' })
    assert.ok(judged.kind === 'weaker')
    assert.equal(judged.because[0], 'The grade is crash, filesystem is required (its best grade ' +
      'so far). The guest agent does not answer: no answer within 3 s.')
  })
})

suite('predicting', () => {
  const byAgent = (fileSystems: FileSystemList): Prospect['freezing'] =>
    ({ by: 'agent', agent: 'qemu-ga 7', fileSystems })
  const prospect = (changes: Partial<Prospect> = {}): Prospect => ({
    power: 'running',
    disks: [{ id: 'vda', sizeBytes: 1 }, { id: 'vdb', sizeBytes: 1 }],
    leftOut: [], excludes: [],
    freezing: byAgent({ state: 'listed', fileSystems: SAMPLE_MOUNTS }),
    applications: { declaredNone: false, discovery: { state: 'impossible', reason: 'no channel' } },
    ...changes,
  })
  const found = { declaredNone: false, discovery: {
    state: 'done', by: 'x', applications: [sampleApplication({
      writer: { contract: 'none', reason: 'no-writer', detail: '' } })] } } as const

  const cases: readonly [string, Prospect, Grade, string][] = [
    ['an agent that lists what can be frozen', prospect(), 'filesystem', 'applications-unknown'],
    ['an application without a writer', prospect({ applications: found }), 'filesystem',
      'no-writer'],
    ['a silent agent', prospect({ freezing: { missing: 'agent-silent', detail: '' } }), 'crash',
      'agent-silent'],
    ['an agent that gives no list', prospect({
      freezing: byAgent({ state: 'unavailable', reason: 'x' }) }), 'crash',
    'file-systems-unlisted'],
    ['a guest with data on vfat', prospect({ freezing: byAgent({
      state: 'listed', fileSystems: [...SAMPLE_MOUNTS,
        { mountpoint: '/data', type: 'vfat', device: 'vdb1', diskIds: ['vdb'] }] }) }), 'crash',
    'unfreezable'],
    ['a paused machine', prospect({ power: 'paused' }), 'crash', 'paused'],
    ['a machine that is off, of whose disks nothing is known', prospect({ power: 'off' }), 'crash',
      'image-not-clean'],
    ['a platform that quiesces file systems', prospect({
      freezing: { by: 'platform', level: 'filesystem' } }), 'filesystem', 'applications-unknown'],
    ['a platform that cannot quiesce', prospect({
      freezing: { by: 'platform', level: 'none' } }), 'crash', 'platform-held-nothing'],
  ]
  for (const [name, given, grade, code] of cases) {
    test(`${name}: ${grade}`, () => {
      const predicted = predictGrade(given)
      assert.deepEqual([predicted.grade, predicted.reasons[0]?.code], [grade, code])
    })
  }
})
