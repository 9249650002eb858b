/** Verdicts: proven only if all is confirmed, refuted if anything is contradicted. */

import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { checkFileSystems } from './check-image.ts'
import type { Evidence, VolumeEvidence } from './evidence.ts'
import { gradeOf } from './grade.ts'
import {
  SAMPLE_HOLD, SAMPLE_VOLUMES, sampleEvidence, sampleVolume,
} from './testing/sample-evidence.ts'
import { isTrackingDoubted, trackingCheck } from './tracking-check.ts'
import { claimsOf, verdictOf, type Check } from './verdict.ts'

const NO_APPLICATIONS = {
  declaredNone: false, discovery: { state: 'impossible', reason: 'no channel' } } as const
const PROBED = [
  { diskId: 'vda', state: 'probed' }, { diskId: 'vdb', state: 'probed' }] as const
const ROOT = '/ (ext4 on vda2)'
const SRV = '/srv (btrfs on vdb)'

/** Grade `filesystem`; the volumes are what the probe at the backup saw. */
function fileSystemGrade(volumes: readonly VolumeEvidence[] = SAMPLE_VOLUMES): Evidence {
  const evidence = sampleEvidence({ applications: NO_APPLICATIONS })
  const { before, after } = evidence.fileSystems
  return { ...evidence, fileSystems: { before, after, probes: PROBED, volumes } }
}

const seen = (changes: Partial<VolumeEvidence>, at: number): readonly VolumeEvidence[] =>
  SAMPLE_VOLUMES.map((volume, index) => index === at ? { ...volume, ...changes } : volume)

const answers = (checks: readonly Check[]): readonly (readonly [string, string])[] =>
  checks.map(({ claim, answer }) => [claim.subject, answer])

suite('what a grade claims', () => {
  test('each file system that was held, and each protected application', () => {
    assert.deepEqual(claimsOf(gradeOf(sampleEvidence())).map(({ subject }) => subject),
      [ROOT, SRV, 'redis'])
    assert.deepEqual(claimsOf(gradeOf(fileSystemGrade())).map(({ subject }) => subject),
      [ROOT, SRV])
  })

  test('a crash claims nothing that an image could show', () => {
    const crash = gradeOf(sampleEvidence({
      hold: { by: 'nobody', reason: 'agent-silent', detail: '' } }))
    assert.deepEqual(claimsOf(crash), [])
    assert.equal(verdictOf(crash, []).verdict, 'not-proven')
  })

  test('a machine that was off claims that its file systems are at rest', () => {
    const off = sampleEvidence({
      power: { before: 'off', after: 'off' },
      hold: { by: 'nobody', reason: 'powered-off', detail: '' }, applications: NO_APPLICATIONS,
      fileSystems: { ...fileSystemGrade().fileSystems,
        volumes: [sampleVolume()], probes: PROBED } })
    assert.equal(gradeOf(off).grade, 'application')
    assert.deepEqual(claimsOf(gradeOf(off)).map(({ subject }) => subject),
      ['disk vda, partition 2 (ext)'])
    const again = checkFileSystems(off, { probes: PROBED, volumes: [sampleVolume()] })
    assert.equal(verdictOf(gradeOf(off), again).verdict, 'proven')
    const used = checkFileSystems(off, {
      probes: PROBED, volumes: [sampleVolume({ sign: 'in-use', detail: 'needs_recovery' })] })
    assert.equal(verdictOf(gradeOf(off), used).verdict, 'refuted')
  })
})

suite('the check of the image', () => {
  test('a sign that use would have changed confirms, one that it would not is silent', () => {
    const evidence = fileSystemGrade()
    const checks = checkFileSystems(evidence, { probes: PROBED, volumes: SAMPLE_VOLUMES })
    assert.deepEqual(answers(checks), [[ROOT, 'confirms'], [SRV, 'silent']])
    const verdict = verdictOf(gradeOf(evidence), checks)
    assert.deepEqual([verdict.verdict, verdict.effective], ['not-proven', 'filesystem'])
    assert.deepEqual(verdict.open.map(({ subject }) => subject), [SRV])
  })

  test('a file system in use contradicts, whatever was recorded', () => {
    const evidence = fileSystemGrade()
    const checks = checkFileSystems(evidence, { probes: PROBED,
      volumes: seen({ sign: 'in-use', detail: 'needs_recovery is set' }, 0) })
    assert.deepEqual(answers(checks)[0], [ROOT, 'contradicts'])
    assert.match(checks[0]?.detail ?? '', /needs_recovery is set/)
    const verdict = verdictOf(gradeOf(evidence), checks)
    assert.deepEqual([verdict.verdict, verdict.effective], ['refuted', 'crash'])
  })

  test('all confirmed is proven', () => {
    const volumes = seen({ sign: 'frozen' }, 2)
    const evidence = fileSystemGrade(volumes)
    const checks = checkFileSystems(evidence, { probes: PROBED, volumes })
    assert.deepEqual(new Map(answers(checks)), new Map([[ROOT, 'confirms'], [SRV, 'confirms']]))
    assert.equal(verdictOf(gradeOf(evidence), checks).verdict, 'proven')
  })

  test('a volume that is not there any more contradicts', () => {
    const evidence = fileSystemGrade()
    const checks = checkFileSystems(evidence,
      { probes: PROBED, volumes: SAMPLE_VOLUMES.slice(1) })
    assert.deepEqual(answers(checks)[0], [ROOT, 'contradicts'])
  })

  test('a disk that cannot be read is no contradiction', () => {
    const evidence = fileSystemGrade()
    const checks = checkFileSystems(evidence, {
      probes: [{ diskId: 'vda', state: 'failed', reason: 'damaged' }, PROBED[1]],
      volumes: SAMPLE_VOLUMES.slice(2) })
    assert.deepEqual(answers(checks)[0], [ROOT, 'silent'])
    assert.match(checks[0]?.detail ?? '', /could not be read: damaged/)
  })

  test('what was never held cannot be refuted into something else', () => {
    const evidence = sampleEvidence({ applications: NO_APPLICATIONS, hold: {
      ...SAMPLE_HOLD, freeze: { state: 'failed', issuedMs: 1, failedMs: 2,
        fault: { code: 'freeze-failed', message: 'no' } } } })
    assert.deepEqual(checkFileSystems(evidence, { probes: PROBED, volumes: SAMPLE_VOLUMES }), [])
  })
})

test('a contradicted application leaves the file systems what they were', () => {
  const result = gradeOf(sampleEvidence())
  const { verdict, effective } = verdictOf(result, [{
    name: 'image', claim: { kind: 'application', subject: 'redis' }, answer: 'contradicts',
    detail: 'its log ends before the hold' }])
  assert.deepEqual([verdict, effective], ['refuted', 'filesystem'])
})

test('checks of what is not claimed prove and refute nothing', () => {
  const result = gradeOf(sampleEvidence())
  for (const answer of ['confirms', 'contradicts'] as const) {
    const verdict = verdictOf(result, [{
      name: 'image', claim: { kind: 'application', subject: 'other' }, answer, detail: '' }])
    assert.deepEqual([verdict.verdict, verdict.open.length], ['not-proven', 3])
  }
})

test('a disk of several instants is torn, whatever the grade', () => {
  const missed = { diskId: 'vda', compared: 64, differing: 2, firstOffset: 4096 }
  const result = gradeOf(sampleEvidence())
  const lacking = verdictOf(result, [trackingCheck({ ...missed, isIncrement: true })])
  assert.deepEqual([lacking.verdict, lacking.effective], ['refuted', 'torn'])
  // All of it was read: what was missed came later, and the point has it right.
  const later = trackingCheck({ ...missed, isIncrement: false })
  assert.deepEqual([verdictOf(result, [later]).verdict, later.answer], ['not-proven', 'silent'])
  assert.deepEqual([isTrackingDoubted([later], 'vda'), isTrackingDoubted([later], 'vdb')],
    [true, false])
  const torn = { ...result, grade: 'torn' } as const
  assert.equal(verdictOf(torn, lacking.checks).verdict, 'not-proven')
})
