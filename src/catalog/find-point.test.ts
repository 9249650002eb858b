import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { cappedBy, gradeOf, reason, type Evidence, type ReasonCode } from '../consistency/mod.ts'
import { sampleEvidence } from '../consistency/testing/mod.ts'
import { fileIdOf } from '../repository/mod.ts'
import { bestGradeSoFar, findPoint } from './find-point.ts'
import type { DamagedPoint, RestorePoint } from './restore-point.ts'
import { SAMPLE_MACHINE, sampleSeal } from './testing/stored-point.ts'

function point(n: number, machine: string, changes: Partial<Evidence> = {}): RestorePoint {
  const evidence = sampleEvidence(changes)
  return {
    state: 'readable', pointId: `${n}${n}b5e7a52-3f0e-4b8c-9a3d-2f6f1f0c7d11`,
    snapshotId: fileIdOf(new Uint8Array([n])), timeMs: n,
    machine: { ...SAMPLE_MACHINE, name: machine }, evidence, result: gradeOf(evidence),
    seal: sampleSeal(evidence),
    claimed: undefined, heldMs: null, stalledMs: null, sizeBytes: 0, bytesAdded: undefined,
    disks: [], documents: [],
  }
}

function broken(n: number, machineName: string): DamagedPoint {
  return {
    state: 'damaged', snapshotId: fileIdOf(new Uint8Array([n])), timeMs: n, machineName,
    reason: 'evidence.dsse.json is missing' }
}

const crash: Partial<Evidence> = { hold: { by: 'nobody', reason: 'agent-silent', detail: '' } }
const first = point(1, 'db1')
const second = point(2, 'web')
const third = point(3, 'db1', crash)
const points = [first, second, third]

suite('finding a point', () => {
  test('the latest of all, and of one machine', () => {
    assert.equal(findPoint(points, 'latest'), third)
    assert.equal(findPoint(points, 'latest:web'), second)
  })

  test('by the first digits of its own id or its snapshot’s, in either case', () => {
    assert.equal(findPoint(points, '22b'), second)
    assert.equal(findPoint(points, '22B5E7A5'), second)
    assert.equal(findPoint(points, second.pointId), second)
    assert.equal(findPoint(points, second.snapshotId.slice(0, 8)), second)
  })

  const none: readonly [string, RegExp][] = [
    ['zz', /no restore point has an id/], ['', /no restore point has an id/],
    ['2', /no restore point has an id/], ['latest:mail', /no restore point of mail/],
    ['\u001b[2J', /begins with \\x1b/],
  ]
  for (const [name, message] of none) {
    test(`none: ${JSON.stringify(name)}`, () => {
      assert.throws(() => findPoint(points, name), { code: 'point-not-found', message })
    })
  }

  test('none at all', () => {
    assert.throws(() => findPoint([], 'latest'), { code: 'point-not-found' })
  })

  test('digits that fit two are a fault that asks for more', () => {
    const twin = { ...third, pointId: `22b5${third.pointId.slice(4)}` }
    assert.throws(() => findPoint([second, twin], '22b5'),
      { code: 'point-not-found', advice: 'Give more digits.' })
  })

  test('a damaged one is not restored from', () => {
    const damaged = broken(4, 'db1')
    assert.throws(() => findPoint([...points, damaged], damaged.snapshotId.slice(0, 10)),
      { code: 'point-invalid' })
  })

  test('the latest is never an older one because the latest is damaged', () => {
    const all = [...points, broken(4, 'db1')]
    assert.throws(() => findPoint(all, 'latest'), { code: 'point-invalid' })
    assert.throws(() => findPoint(all, 'latest:db1'), { code: 'point-invalid' })
    assert.equal(findPoint(all, 'latest:web'), second)
  })
})

test('the best grade so far is of this machine alone, and of what can be read', () => {
  assert.equal(bestGradeSoFar(points, 'db1'), 'application')
  assert.equal(bestGradeSoFar([second, third, broken(4, 'db1')], 'db1'), 'crash')
  assert.equal(bestGradeSoFar([second, broken(4, 'db1')], 'db1'), undefined)
})

test('an altered point lowers no requirement, and a forged or foreign one raises none', () => {
  const sealedAs = (code: ReasonCode): RestorePoint =>
    ({ ...first, result: cappedBy(first.result, reason(code)) })
  assert.equal(bestGradeSoFar([sealedAs('altered-since-seal')], 'db1'), 'application')
  assert.equal(bestGradeSoFar([sealedAs('evidence-forged'), third], 'db1'), 'crash')
  assert.equal(bestGradeSoFar([sealedAs('signer-not-pinned')], 'db1'), undefined)
})
