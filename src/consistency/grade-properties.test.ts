import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import fc from 'fast-check'
import { canonicalJson } from '../base/canonical-json.ts'
import { decodeEvidence, encodeEvidence } from './evidence-codec.ts'
import type { Evidence } from './evidence.ts'
import { gradeOf, outlookOf, type GradeResult } from './grade.ts'
import { GRADES, isWeaker, type Grade } from './grade-scale.ts'
import { capOf } from './reasons.ts'
import { anyEvidence } from './testing/any-evidence.ts'
import { weakenings } from './testing/weaken.ts'

const RUNS = { numRuns: 3000 }

/** An application whose data is known to lie elsewhere can only be thought to be less far off. */
const isRise = (from: Grade | 'not-covered', to: Grade | 'not-covered'): boolean =>
  from !== 'not-covered' && to !== 'not-covered' && isWeaker(from, to)

suite('gradeOf, for any evidence', () => {
  test('is total and depends on the record alone', () => {
    fc.assert(fc.property(anyEvidence, (evidence) => {
      const result = gradeOf(evidence)
      assert.ok(GRADES.includes(result.grade))
      const again = gradeOf(decodeEvidence(encodeEvidence(evidence)))
      assert.equal(canonicalJson(again), canonicalJson(result))
    }), RUNS)
  })

  test('never rises when less is observed, for the machine and for each application', () => {
    fc.assert(fc.property(anyEvidence, (evidence) => {
      const before = gradeOf(evidence)
      for (const [name, weaker] of weakenings(evidence)) {
        const after = gradeOf(weaker)
        assert.ok(!isWeaker(before.grade, after.grade), `${name} raises ${before.grade}`)
        for (const { name: own, grade } of after.applications) {
          const was = before.applications.find((it) => it.name === own)
          assert.ok(was === undefined || !isRise(was.grade, grade), `${name} raises ${own}`)
        }
        assert.ok(!(before.coverage.kind === 'partial' && after.coverage.kind === 'whole'), name)
      }
    }), RUNS)
  })

  test('is the weakest cap of its reasons, and the binding reasons come first', () => {
    fc.assert(fc.property(anyEvidence, (evidence) => {
      const { grade, reasons } = gradeOf(evidence)
      const caps = reasons.map(({ code }) => GRADES.indexOf(capOf(code)))
      assert.equal(GRADES.indexOf(grade), Math.min(3, ...caps))
      assert.deepEqual(caps, caps.toSorted((a, b) => a - b))
    }), RUNS)
  })

  test('is never better than its outlook', () => {
    fc.assert(fc.property(anyEvidence, (evidence) => {
      assert.ok(!isWeaker(outlookOf(evidence).grade, gradeOf(evidence).grade))
    }), RUNS)
  })

  test('what it calls strong fulfils the rules as they are written', () => {
    const seen = new Set<string>()
    fc.assert(fc.property(anyEvidence, (evidence) => {
      const result = gradeOf(evidence)
      seen.add(`${result.grade} ${evidence.power.before}`)
      if (!isWeaker(result.grade, 'crash')) assert.ok(isOneInstant(evidence))
      if (!isWeaker(result.grade, 'filesystem')) assert.ok(isHeld(evidence, result))
      if (result.grade === 'application') assert.ok(isApplication(evidence, result))
    }), { numRuns: 10_000 })
    for (const needed of ['application running', 'filesystem running', 'crash running']) {
      assert.ok(seen.has(needed), `no evidence of ${needed} was drawn`)
    }
  })
})

// The rules of grades once more, as claims about what a strong grade implies.

function isOneInstant({ instant, reading }: Evidence): boolean {
  return instant.disks.length > 0 && instant.oneInstant && reading.state === 'finished' &&
    'intact' in reading.instant &&
    instant.disks.every(({ id }) => reading.disks.some(({ diskId }) => diskId === id))
}

function isHeld({ power, hold, instant, fileSystems }: Evidence, result: GradeResult): boolean {
  const open = fileSystems.volumes.filter(({ role }) => role !== 'swap')
  const isKnown = instant.disks.every(({ id }) =>
    fileSystems.probes.some((probe) => probe.diskId === id && probe.state === 'probed'))
  if (!isKnown) return false
  if (power.before === 'off') {
    return power.after === 'off' && open.every(({ sign }) => sign !== 'in-use')
  }
  if (power.before !== 'running' || hold.by === 'nobody') return false
  const classes = result.fileSystems.map((it) => it.class)
  const isAccounted = !classes.includes('unexplained') &&
    (classes.includes('acknowledged') || classes.includes('image-frozen')) &&
    classes.length >= open.length &&
    open.every(({ sign, role }) => sign !== 'in-use' || role === 'esp')
  if (hold.by === 'platform') {
    return isAccounted && hold.claimed !== 'none' &&
      hold.documents.some(({ shows }) => shows !== 'nothing')
  }
  const { freeze, thaw, limits } = hold
  return isAccounted && freeze.state === 'acknowledged' && thaw.state === 'thawed' &&
    freeze.count > 0 && thaw.count === freeze.count && !thaw.early &&
    freeze.acknowledgedMs <= instant.startMs && instant.endMs <= thaw.issuedMs &&
    thaw.issuedMs - freeze.acknowledgedMs <= limits.holdMs &&
    fileSystems.before.state === 'listed' && fileSystems.after.state === 'listed'
}

function isApplication(
  { power, applications: { discovery, declaredNone } }: Evidence, result: GradeResult): boolean {
  const guarded = discovery.state === 'impossible' ? []
    : discovery.applications.filter(({ kind }) => kind === 'protected')
  const allGraded = result.applications.every(({ kind, grade }) =>
    kind === 'incidental' || grade === 'application')
  if (power.before === 'off') return allGraded
  if (discovery.state === 'impossible') return false
  return allGraded && (guarded.length > 0 || declaredNone) &&
    guarded.every(({ writer, data }) => writer.contract !== 'none' && data.state === 'located')
}
