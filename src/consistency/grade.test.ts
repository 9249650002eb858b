import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { Evidence, RequestorHold, VolumeEvidence, WriterEvidence } from './evidence.ts'
import { gradeOf, outlookOf } from './grade.ts'
import type { ReasonCode } from './reasons.ts'
import { gets, withFiles } from './testing/graded.ts'
import {
  SAMPLE_HOLD, SAMPLE_VOLUMES, sampleApplication, sampleEvidence, sampleVolume,
} from './testing/sample-evidence.ts'

const [rootVolume, espVolume, srvVolume] = SAMPLE_VOLUMES
assert.ok(rootVolume && espVolume && srvVolume)
const FREEZE = SAMPLE_HOLD.freeze
const THAW = SAMPLE_HOLD.thaw
assert.ok(FREEZE.state === 'acknowledged' && THAW.state === 'thawed')

function held(changes: Partial<RequestorHold>): Evidence {
  return sampleEvidence({ hold: { ...SAMPLE_HOLD, ...changes } })
}

/** The sample's applications, one of them with this `data` or `writer`. */
function oneApplication(
  changes: Parameters<typeof sampleApplication>[0]): Evidence['applications'] {
  const applications = [sampleApplication(changes)]
  return { declaredNone: false, discovery: { state: 'done', by: 'x', applications } }
}

test('evidence that shows all gets application, with remarks only', () => {
  const result = gradeOf(sampleEvidence())
  assert.equal(result.grade, 'application')
  assert.deepEqual(result.reasons.map((it) => it.code), ['boot-not-frozen'])
  assert.deepEqual(result.fileSystems.map((it) => [it.name, it.class]), [
    ['/ (ext4 on vda2)', 'acknowledged'],
    ['/boot/efi (vfat on vda1)', 'unfreezable'],
    ['/srv (btrfs on vdb)', 'acknowledged'],
  ])
  assert.deepEqual(result.applications.map((it) => [it.name, it.grade, it.contract, it.reason]),
    [['redis', 'application', 'held', undefined]])
  assert.equal(result.coverage.kind, 'whole')
})

suite('torn', () => {
  const { instant, reading } = sampleEvidence()
  assert.ok(reading.state === 'finished')
  const cases: readonly [string, Partial<Evidence>, ReasonCode][] = [
    ['disks captured one after the other', {
      instant: { ...instant, oneInstant: false } }, 'not-one-instant'],
    ['an instant lost while it was read', {
      reading: { ...reading, instant: { broken: 'scratch full' } } }, 'read-broken'],
    ['a reading that did not end', { reading: { state: 'unfinished' } }, 'not-read-to-end'],
    ['a disk that nobody read', {
      reading: { ...reading, disks: reading.disks.slice(1) } }, 'not-read-to-end'],
    ['no disk at all', { instant: { ...instant, disks: [] } }, 'nothing-captured'],
  ]
  for (const [name, changes, code] of cases) {
    test(`${name} is torn`, () => {
      gets(sampleEvidence(changes), 'torn', code)
      gets(sampleEvidence({ ...changes, power: { before: 'off', after: 'off' } }), 'torn', code)
    })
  }

  test('the outlook supposes that every read will show the instant, and nothing more', () => {
    assert.equal(outlookOf(sampleEvidence({ reading: { state: 'unfinished' } })).grade,
      'application')
    assert.equal(outlookOf(sampleEvidence({ instant: { ...instant, oneInstant: false } })).grade,
      'torn')
  })
})

suite('a hold that does not span the instant leaves crash', () => {
  const cases: readonly [string, Partial<RequestorHold>, ReasonCode][] = [
    ['a freeze that failed', {
      freeze: {
        state: 'failed', issuedMs: 1000, failedMs: 1010,
        fault: { code: 'freeze-failed', message: 'hook exited 7' } } }, 'freeze-failed'],
    ['a freeze that froze nothing', {
      freeze: { ...FREEZE, count: 0 }, thaw: { ...THAW, count: 0 } }, 'nothing-frozen'],
    ['a freeze acknowledged after the commit began', {
      freeze: { ...FREEZE, acknowledgedMs: 1031 } }, 'hold-not-across'],
    ['a thaw issued before the commit ended', {
      thaw: { ...THAW, issuedMs: 1039 } }, 'hold-not-across'],
    ['times that are no numbers', {
      thaw: { ...THAW, issuedMs: Number.NaN } }, 'hold-not-across'],
    ['a hold past its limit, although the agent reports success', {
      limits: { ...SAMPLE_HOLD.limits, holdMs: 29 } }, 'hold-too-long'],
    ['a guardian that thawed by itself', { thaw: { ...THAW, early: true } }, 'thawed-early'],
    ['a guest that was found thawed', {
      thaw: { state: 'not-frozen', issuedMs: 1050 } }, 'found-thawed'],
    ['a thaw nobody confirmed', {
      thaw: { state: 'unknown', issuedMs: 1050, detail: 'the agent is gone' } }, 'thaw-unknown'],
    ['fewer thawed than frozen: somebody thawed one behind our back', {
      thaw: { ...THAW, count: 1 } }, 'thaw-count-differs'],
    ['more thawed than frozen', { thaw: { ...THAW, count: 3 } }, 'thaw-count-differs'],
    ['a thaw without a count', { thaw: { ...THAW, count: null } }, 'thaw-count-unknown'],
  ]
  for (const [name, changes, code] of cases) {
    test(name, () => {
      gets(held(changes), 'crash', code)
      assert.deepEqual(gradeOf(held(changes)).applications.map((it) => [it.grade, it.reason?.code]),
        [['crash', code]])
    })
  }

  test('a hold of exactly its limit is within it', () => {
    const limits = { ...SAMPLE_HOLD.limits, holdMs: 30 }
    assert.equal(gradeOf(held({ limits })).grade, 'application')
  })

  for (const [reason, code] of [
    ['agent-silent', 'agent-silent'], ['agent-disabled', 'agent-disabled'],
    ['agent-busy', 'agent-busy'], ['no-agent-configured', 'no-agent-configured'],
    ['declined', 'freeze-declined'], ['powered-off', 'powered-off'],
  ] as const) {
    test(`no freeze because of ${reason}`, () => {
      gets(sampleEvidence({ hold: { by: 'nobody', reason, detail: 'x' } }), 'crash', code)
    })
  }

  for (const before of ['paused', 'saved'] as const) {
    test(`a ${before} machine, whatever else was seen`, () => {
      gets(sampleEvidence({ power: { before, after: 'running' } }), 'crash', before)
    })
  }
})

suite('powered off', () => {
  const disks = [rootVolume, espVolume, { ...srvVolume, sign: 'clean' as const },
    sampleVolume({ where: 'partition 3', type: 'swap', role: 'swap', sign: 'silent' })]
  const off = (changes: Partial<Evidence> = {}, volumes: readonly VolumeEvidence[] = disks) =>
    ({
      ...withFiles({
        before: { state: 'unavailable', reason: 'off' },
        after: { state: 'unavailable', reason: 'off' }, volumes }),
      power: { before: 'off', after: 'off' },
      hold: { by: 'nobody', reason: 'powered-off', detail: '' },
      applications: { declaredNone: false, discovery: { state: 'impossible', reason: 'off' } },
      ...changes,
    }) as const satisfies Evidence
  const spoilt = (at: number, changes: Partial<VolumeEvidence>) =>
    off({}, disks.map((volume, index) => index === at ? { ...volume, ...changes } : volume))

  test('a clean image is application, and says what it rests on', () => {
    gets(off(), 'application', 'clean-image')
  })

  const cases: readonly [string, Evidence, ReasonCode][] = [
    ['that was started meanwhile', off({ power: { before: 'off', after: 'running' } }),
      'power-changed'],
    ['of which nobody asked again', off({ power: { before: 'off', after: 'unknown' } }),
      'power-unknown'],
    ['that hibernates', spoilt(3, { hibernation: 'present' }), 'hibernated'],
    ['that may hibernate', spoilt(3, { hibernation: 'unknown' }), 'hibernated'],
    ['with a log to be replayed', spoilt(0, { sign: 'in-use' }), 'image-not-clean'],
    ['with a disk that cannot tell', spoilt(2, { sign: 'silent' }), 'image-not-clean'],
    ['that was cut while frozen', spoilt(0, { sign: 'frozen' }), 'image-not-clean'],
    ['with a container', spoilt(2, { role: 'opaque' }), 'image-not-clean'],
    ['without any file system', off({}, []), 'image-not-clean'],
  ]
  for (const [name, evidence, code] of cases) {
    test(`a machine ${name} is crash`, () => gets(evidence, 'crash', code))
  }

  test('an application with data elsewhere is not covered by a clean image', () => {
    const evidence = off({
      applications: oneApplication({ data: { state: 'outside', detail: 'nfs' } }) })
    gets(evidence, 'filesystem', 'application-not-covered')
  })
})

suite('the platform held', () => {
  const by = (shows: 'application' | 'filesystem' | 'nothing',
    claimed: 'application' | 'filesystem' | 'none' = 'application'): Evidence => ({
    ...withFiles({
      before: { state: 'unavailable', reason: 'x' },
      after: { state: 'unavailable', reason: 'x' } }),
    hold: { by: 'platform', claimed, documents: [
      { name: 'writers', text: '<xml/>', shows }, { name: 'components', text: '<xml/>', shows }] },
    applications: oneApplication({ writer: stated }),
  })
  const stated = {
    contract: 'platform-stated', state: 'stable', metadataDocument: 'writers',
    componentsDocument: 'components', statement: 'state 5, S_OK',
  } as const
  const withStated = (changes: Partial<Extract<WriterEvidence, { contract: 'platform-stated' }>>) =>
    ({ ...by('application'), applications: oneApplication({ writer: { ...stated, ...changes } }) })

  test('documents that show the writers make application', () => {
    assert.equal(gradeOf(by('application')).grade, 'application')
  })

  const cases: readonly [string, Evidence, string, ReasonCode][] = [
    ['a claim of success without a document', by('nothing'), 'crash', 'platform-claim-unproven'],
    ['no quiescing', by('application', 'none'), 'crash', 'platform-held-nothing'],
    ['documents without the writers', by('filesystem'), 'filesystem',
      'platform-documents-missing'],
    ['a claim of less than the documents', by('application', 'filesystem'), 'filesystem',
      'platform-documents-missing'],
    ['a writer that failed', withStated({ state: 'failed' }), 'filesystem',
      'platform-writer-failed'],
    ['a writer of which nothing is stated', withStated({ statement: ' ' }), 'filesystem',
      'writer-statement-missing'],
    ['a document that is not there', withStated({ componentsDocument: 'other' }), 'filesystem',
      'platform-documents-missing'],
    ['a disk in use', {
      ...by('application'),
      fileSystems: withFiles({ volumes: [{ ...rootVolume, sign: 'in-use' }] }).fileSystems,
    }, 'crash', 'image-contradicts'],
    ['a file system partly on a disk that was left out', {
      ...by('application'),
      fileSystems: withFiles({ volumes: [{ ...rootVolume, diskIds: ['vda', 'vdc'] }] }).fileSystems,
    }, 'crash', 'spans-left-out-disk'],
    ['a writer’s documents without a platform hold',
      sampleEvidence({ applications: oneApplication({ writer: stated }) }), 'filesystem',
      'platform-documents-missing'],
  ]
  for (const [name, evidence, grade, code] of cases) {
    test(`${name} is ${grade}`, () => gets(evidence, grade, code))
  }
})

suite('coverage', () => {
  const cover = (changes: Partial<Evidence['coverage']>) => gradeOf(sampleEvidence({
    coverage: { leftOut: [], excludes: [], rechecked: true, ...changes } })).coverage
  const raw = { id: 'sdz', reason: 'pass-through', detail: 'a raw device' } as const

  test('a CD drive and an empty drive leave the machine whole', () => {
    const coverage = cover({ leftOut: [
      { id: 'cd0', reason: 'read-only', detail: '' }, { id: 'fd0', reason: 'empty', detail: '' }] })
    assert.deepEqual([coverage.kind, coverage.unaccepted], ['whole', []])
  })

  test('a disk left out is partial, and accepted only if the operator named it', () => {
    assert.deepEqual([cover({ leftOut: [raw] }).kind, cover({ leftOut: [raw] }).unaccepted],
      ['partial', [raw]])
    const accepted = cover({ leftOut: [raw], excludes: ['sdz'] })
    assert.deepEqual([accepted.kind, accepted.unaccepted], ['partial', []])
  })

  test('disks that nobody read again are not whole', () => {
    assert.equal(cover({ rechecked: false }).kind, 'partial')
  })
})
