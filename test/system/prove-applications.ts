/** Captures of a guest with four databases: what their own files say of the grade. */

import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { systemClock as clock } from '../../src/base/clock.ts'
import type { RestorePoint } from '../../src/catalog/mod.ts'
import {
  gradeOf, type ApplicationEvidence, type Check, type Evidence, type Verdict, type WriterEvidence,
} from '../../src/consistency/mod.ts'
import { provePoint } from '../../src/recovery/mod.ts'
import { pointsOf, withRepository } from './rig.ts'

/** What evidence may be made to claim of each, which no disk of the guest has. */
const FORGED: Readonly<Record<string, readonly [from: RegExp, to: string]>> = {
  postgres: [/^[0-9A-F]+\/[0-9A-F]+$/, 'FF/0'],
  mariadb: [/^\d+$/, '999999999999'],
  redis: [/aof_current_size=\d+/, 'aof_current_size=999999999'],
  sqlite: [/(wal_frames|change_counter)=\d+/, '$1=99999999'],
}

/** The point is proven; with one application's claim edited it is refuted, and says by whom. */
export async function proveApplications(
  t: TestContext, repositoryPath: string, pointId: string): Promise<void> {
  const points = (await pointsOf(repositoryPath, t))
    .filter((it): it is RestorePoint => it.state === 'readable')
  const point = points.find((it) => it.pointId === pointId) ?? assert.fail(pointId)
  const startMs = clock.monotonicMs()
  const verdict = await verdictOn(t, repositoryPath, point)
  t.diagnostic(`verdict ${verdict.verdict} (${verdict.grade}) in ${
    Math.round(clock.monotonicMs() - startMs)} ms, opening the repository included`)
  for (const line of linesOf(verdict)) t.diagnostic(line)
  assert.deepEqual([verdict.verdict, verdict.grade, verdict.effective],
    ['proven', 'application', 'application'], linesOf(verdict).join('\n'))

  for (const [name, [from, to]] of Object.entries(FORGED)) {
    const evidence = withClaim(point.evidence, name, (text) => text.replace(from, to))
    const forged = await verdictOn(
      t, repositoryPath, { ...point, evidence, result: gradeOf(evidence) })
    assert.deepEqual([forged.verdict, forged.effective], ['refuted', 'filesystem'], name)
    const [refuting, ...more] = forged.checks.filter(({ answer }) => answer === 'contradicts')
    assert.ok(refuting !== undefined && refuting.claim.subject.startsWith(`${name} `))
    assert.deepEqual(more, [])
    t.diagnostic(lineOf(refuting))
  }
  // A disk that was cut under load, with the evidence of one that was held.
  const crash = points.find(({ result }) => result.grade === 'crash')
  if (crash === undefined) return
  const { evidence, result } = point
  const claimed = await verdictOn(t, repositoryPath, { ...crash, evidence, result })
  assert.deepEqual([claimed.verdict, claimed.effective], ['refuted', 'crash'])
  for (const line of linesOf(claimed)) t.diagnostic(`of a crash: ${line}`)
  const answers = claimed.checks.filter(({ claim }) => claim.kind === 'application')
  assert.ok(answers.every(({ answer }) => answer === 'contradicts'), linesOf(claimed).join('\n'))
}

function withClaim(
  evidence: Evidence, name: string, edit: (text: string) => string): Evidence {
  const { applications, applications: { discovery } } = evidence
  assert.ok(discovery.state === 'done')
  const edited = discovery.applications.map((it): ApplicationEvidence =>
    it.name.startsWith(`${name} `) ? { ...it, writer: claiming(it.writer, edit) } : it)
  return {
    ...evidence,
    applications: { ...applications, discovery: { ...discovery, applications: edited } } }
}

function claiming(writer: WriterEvidence, edit: (text: string) => string): WriterEvidence {
  assert.ok('freeze' in writer && writer.freeze.state === 'acknowledged')
  const { positions, statement } = writer.freeze
  return { ...writer, freeze: {
    ...writer.freeze, statement: edit(statement),
    positions: positions === null ? null : { ...positions, atFreeze: edit(positions.atFreeze) } } }
}

const lineOf = ({ claim, answer, detail }: Check): string =>
  `${claim.subject}: ${answer}: ${detail}`

const linesOf = ({ checks }: Verdict): readonly string[] => checks.map(lineOf)

export function verdictOn(
  t: TestContext, repositoryPath: string, point: RestorePoint): Promise<Verdict> {
  return withRepository(repositoryPath, t, async (repository) => {
    await using lock = await repository.lock('shared', t.signal)
    await repository.loadIndex(lock.lost)
    const asked = { point, image: true, logs: false, next: undefined }
    return (await provePoint(repository, asked, clock, t.signal)).verdict
  })
}
