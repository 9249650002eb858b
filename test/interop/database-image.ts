/** A folder of a real server as the disk of a captured machine, and what is made of it. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { systemClock } from '../../src/base/clock.ts'
import { runProgram } from '../../src/base/program.ts'
import {
  gradeOf, probeSet, type ApplicationEvidence, type Check, type Evidence, type PreparedWriter,
  type SetProbe, type WriterEvidence,
} from '../../src/consistency/mod.ts'
import {
  sampleApplication, sampleEvidence, SAMPLE_WRITER_HOLD,
} from '../../src/consistency/testing/mod.ts'
import { openRawSource, type BlockSource } from '../../src/disk/mod.ts'
import { checkDatabases } from '../../src/recovery/mod.ts'
import { testFolder } from '../system/rig.ts'

/** The folder and all that is in it as the root of an ext4 file system in a file. */
export async function imageOf(folder: string, sizeMiB: number, t: TestContext): Promise<string> {
  const path = join(await testFolder(t), 'disk')
  await runProgram('mke2fs', ['-q', '-F', '-t', 'ext4', '-d', folder, path, `${sizeMiB}M`], {
    signal: t.signal })
  return path
}

/** What a writer did, held now and thawed at once. */
export async function holdOf(writer: PreparedWriter): Promise<WriterEvidence> {
  const attempt = writer.beginFreeze()
  const { statement, positions } = await attempt.held
  await attempt.thaw()
  const hold = {
    ...SAMPLE_WRITER_HOLD, freeze: { ...SAMPLE_WRITER_HOLD.freeze, statement, positions } }
  return writer.contract.kind === 'held' ? { contract: 'held', ...hold }
    : { ...writer.contract, contract: 'recoverable', ...hold }
}

/** A machine whose only disk, all of it mounted at `mountpoint`, has one application. */
function evidenceOf(
  { mountpoint, type = 'ext4', device = 'vda', incidental = {} }: Captured,
  application: Partial<ApplicationEvidence>,
  { sizeBytes, probed }: { readonly sizeBytes: number; readonly probed: SetProbe }): Evidence {
  const mounts = [{ mountpoint, type, device, diskIds: ['vda'] }]
  const listed = { state: 'listed', fileSystems: mounts } as const
  const sample = sampleEvidence()
  const freeze = { state: 'acknowledged', issuedMs: 1000, acknowledgedMs: 1020, count: 1 } as const
  const thaw = {
    state: 'thawed', issuedMs: 1050, acknowledgedMs: 1055, count: 1, early: false } as const
  assert.ok(sample.hold.by === 'requestor')
  return {
    ...sample,
    hold: { ...sample.hold, freeze, thaw },
    instant: { ...sample.instant, disks: [{ id: 'vda', sizeBytes }] },
    fileSystems: {
      before: listed, after: listed, ...probed },
    applications: { declaredNone: false, discovery: {
      state: 'done', by: 'a test', applications: [
        sampleApplication(application),
        ...Object.entries(incidental).map(([name, path]) => sampleApplication({
          name, kind: 'incidental', writer: { contract: 'none', reason: 'no-writer', detail: '' },
          data: { state: 'located', diskIds: ['vda'], places: [{ path, mountpoint }] } })),
      ] } },
    reading: { state: 'finished', instant: { intact: true }, disks: [
      { diskId: 'vda', bytesRead: sizeBytes, base: { full: 'first-backup' } }] },
  }
}

export interface Captured {
  readonly mountpoint: string
  /** The guest's name for the type; default ext4. */
  readonly type?: string
  /** The guest's name for the volume; default: all of its only disk. */
  readonly device?: string
  readonly application: Pick<ApplicationEvidence, 'name'> & { readonly writer: WriterEvidence }
  readonly paths: readonly string[]
  /** What of the volume was mounted; default all of it. */
  readonly root?: string
  /** Files that no writer holds: names of applications to paths. */
  readonly incidental?: Readonly<Record<string, string>>
}

/** The one check of the one application. */
export async function checkOn(
  source: BlockSource, captured: Captured, t: TestContext): Promise<Check> {
  const [check, ...more] = await checksOn(source, captured, t)
  assert.deepEqual(more, [])
  return check ?? assert.fail()
}

/** The check of the application, then those of what is incidental. */
export async function checksOn(
  source: BlockSource, captured: Captured, t: TestContext): Promise<readonly Check[]> {
  const { mountpoint, application, paths, root } = captured
  const places = paths.map((path) =>
    ({ path, mountpoint, ...root === undefined ? {} : { root } }))
  const disks = [{ id: 'vda', source }]
  const probed = await probeSet(disks, t.signal)
  const evidence = evidenceOf(captured, {
    ...application, data: { state: 'located', diskIds: ['vda'], places } },
  { sizeBytes: source.sizeBytes, probed })
  const result = gradeOf(evidence)
  assert.equal(result.grade, 'application', JSON.stringify(result.reasons))
  return checkDatabases({ evidence, result, probed, disks }, systemClock, t.signal)
}

export async function checkImage(
  path: string, captured: Captured, t: TestContext): Promise<Check> {
  await using source = await openRawSource(path, t.signal)
  return await checkOn(source, captured, t)
}
