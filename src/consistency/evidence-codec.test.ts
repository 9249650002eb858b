import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import fc from 'fast-check'
import {
  decodeEvidence, encodeEvidence, MAX_EVIDENCE_BYTES, parseEvidence,
} from './evidence-codec.ts'
import { heldMs, stalledMs, type Evidence, type HoldEvidence } from './evidence.ts'
import { anyEvidence } from './testing/any-evidence.ts'
import { SAMPLE_HOLD, sampleApplication, sampleEvidence } from './testing/sample-evidence.ts'

/** The sample as loose JSON, changed by `spoil`. */
function spoilt(spoil: (it: Record<string, unknown>) => void): unknown {
  const value = JSON.parse(encodeEvidence(sampleEvidence())) as Record<string, unknown>
  spoil(value)
  return value
}

suite('stored evidence', () => {
  test('comes back as it was, and equal records give equal bytes', () => {
    fc.assert(fc.property(anyEvidence, (evidence) => {
      const text = encodeEvidence(evidence)
      assert.equal(encodeEvidence(decodeEvidence(text)), text)
    }), { numRuns: 500 })
    assert.deepEqual(decodeEvidence(encodeEvidence(sampleEvidence())), sampleEvidence())
  })

  const bad: readonly [string, unknown][] = [
    ['nothing', undefined],
    ['a list', []],
    ['another version', spoilt((it) => { it['version'] = 2 })],
    ['an unknown key', spoilt((it) => { it['grade'] = 'application' })],
    ['a missing part', spoilt((it) => { delete it['reading'] })],
    ['an id that is no UUID', spoilt((it) => { it['pointId'] = '../../etc' })],
    ['a time that is no time', spoilt((it) => { it['startedAt'] = 'yesterday' })],
    ['a day that is none', spoilt((it) => { it['startedAt'] = '2026-02-42T10:00:00Z' })],
    ['a disk id that is a path', spoilt((it) => {
      it['instant'] = { ...sampleEvidence().instant, disks: [{ id: '..', sizeBytes: 1 }] } })],
    ['a negative duration', spoilt((it) => {
      it['instant'] = { ...sampleEvidence().instant, startMs: -1 } })],
    ['a disk id with a slash', spoilt((it) => {
      it['instant'] = { ...sampleEvidence().instant, disks: [{ id: 'a/b', sizeBytes: 1 }] } })],
    ['one disk twice', spoilt((it) => {
      const disk = { id: 'vda', sizeBytes: 1 }
      it['instant'] = { ...sampleEvidence().instant, disks: [disk, disk] } })],
    ['a size beyond safe integers', spoilt((it) => {
      it['instant'] = { ...sampleEvidence().instant, disks: [{ id: 'a', sizeBytes: 2 ** 60 }] } })],
    ['one application twice', spoilt((it) => {
      const applications = [sampleApplication(), sampleApplication()]
      it['applications'] = {
        declaredNone: false, discovery: { state: 'done', by: 'x', applications } } })],
    ['a name without end', spoilt((it) => {
      it['machine'] = { name: 'x'.repeat(10_000), platform: 'qemu' } })],
    ['more disks than any machine has', spoilt((it) => {
      const excludes = Array.from({ length: 1000 }, (_, at) => `d${at}`)
      it['coverage'] = { leftOut: [], excludes, rechecked: true } })],
  ]
  for (const [name, value] of bad) {
    test(`is refused: ${name}`, () => {
      assert.throws(() => parseEvidence(value), { code: 'point-invalid' })
    })
  }

  test('is refused when it is too long, too deep or no JSON', () => {
    for (const text of [' '.repeat(MAX_EVIDENCE_BYTES + 1), '['.repeat(100), '{']) {
      assert.throws(() => decodeEvidence(text), { code: 'point-invalid' })
    }
  })

  test('over its bounds is not sealed', () => {
    const machine = { name: 'x'.repeat(10_000), platform: 'qemu' }
    assert.throws(() => encodeEvidence(sampleEvidence({ machine })), { code: 'point-invalid' })
  })
})

suite('times of a hold', () => {
  const { freeze, thaw } = SAMPLE_HOLD
  assert.ok(thaw.state === 'thawed')
  const cases: readonly [string, HoldEvidence, number | null, number | null][] = [
    ['a hold', SAMPLE_HOLD, 30, 55],
    ['nothing held', { by: 'nobody', reason: 'declined', detail: '' }, null, null],
    ['held by the platform', { by: 'platform', claimed: 'none', documents: [] }, null, null],
    ['thawed early', { ...SAMPLE_HOLD, thaw: { ...thaw, early: true } }, null, 55],
    ['found thawed', { ...SAMPLE_HOLD, thaw: { state: 'not-frozen', issuedMs: 9 } }, null, null],
    ['thaw unknown', {
      ...SAMPLE_HOLD, thaw: { state: 'unknown', issuedMs: 1050, detail: '' } }, 30, null],
    ['freeze failed', { ...SAMPLE_HOLD, freeze: {
      state: 'failed', issuedMs: freeze.issuedMs, failedMs: 1010,
      fault: { code: 'timed-out', message: '' } } }, null, 55],
  ]
  for (const [name, hold, held, stalled] of cases) {
    test(name, () => assert.deepEqual([heldMs(hold), stalledMs(hold)], [held, stalled]))
  }
})

test('what could not be read back is not encoded either', () => {
  const before = { state: 'listed' as const, fileSystems: Array.from({ length: 1000 }, (_, at) => (
    { mountpoint: `/${at}${'x'.repeat(4000)}`, type: 'ext4', device: `vda${at}`, diskIds: [] })) }
  const evidence = sampleEvidence()
  const of = (fileSystems: Evidence['fileSystems']): string =>
    encodeEvidence({ ...evidence, fileSystems })
  decodeEvidence(of({ ...evidence.fileSystems, before }))
  assert.throws(() => of({ ...evidence.fileSystems, before, after: before }),
    { code: 'point-invalid' })
})
