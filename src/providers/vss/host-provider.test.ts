import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { systemClock as clock } from '../../base/clock.ts'
import { silentLog } from '../../base/log.ts'
import { seededRandom } from '../../base/random.ts'
import { runBackup, type BackupRequest, type BackupSummary } from '../../backup/mod.ts'
import {
  NO_PINS, readCatalog, readDocument, readRestorePoints, type Platform,
} from '../../catalog/mod.ts'
import { openPointRepository, SAMPLE_MACHINE } from '../../catalog/testing/mod.ts'
import { commitSet, providerContract, testSigner } from '../../consistency/testing/mod.ts'
import { ntfsImage } from '../../disk/testing/mod.ts'
import type { Repository } from '../../repository/mod.ts'
import { openMemoryStorage } from '../../storage/testing/mod.ts'
import {
  DATA_VOLUME, HostBench, sampleWriter, SQL_WRITER, sqlWriter, SYSTEM_VOLUME, systemWriter,
  type VssScenario,
} from '../testing/mod.ts'
import { HYPERV_WRITER } from './known-writers.ts'
import { VSS_E } from './session/hresult.ts'
import type { VssBackupType } from './session/transport.ts'

const signal = new AbortController().signal
const NEVER = VSS_E.WRITERERROR_NONRETRYABLE

providerContract('VSS on a host in memory', async () => {
  const host = new HostBench()
  return {
    provider: host.provider(), left: async () => host.vss.snapshotsLeft,
    overwrite: async (diskId, bytes) => {
      host.contents.get(diskId === 'c' ? SYSTEM_VOLUME : DATA_VOLUME)?.set(bytes)
    },
    [Symbol.asyncDispose]: async () => {},
  }
})

interface Backed {
  readonly summary: BackupSummary
  readonly repository: Repository
  readonly journal: readonly string[]
}

const NTFS = ntfsImage({ volumeFlags: 0, restartFlags: 2 })

async function backup(
  scenario: Partial<VssScenario>, type: VssBackupType = 'copy', wishes: Partial<BackupRequest> = {},
): Promise<Backed> {
  const host = new HostBench(scenario, () => NTFS.slice())
  const provider = host.provider(type)
  const disks = (await provider.survey([], signal)).disks
    .map((disk) => ({ ...disk, bus: 'other' as const }))
  const platform: Platform = {
    kind: 'host', machines: async () => [], provider: () => provider,
    describe: async () => ({
      machine: { ...SAMPLE_MACHINE, platform: 'host', disks }, documents: [] }),
    [Symbol.asyncDispose]: async () => {},
  }
  const repository = await openPointRepository(openMemoryStorage())
  const summary = await runBackup({
    repository, platform, machine: SAMPLE_MACHINE.name, full: false, exclude: [],
    settings: { require: 'crash', onWeaker: undefined },
    openApplications: async () => ({ missing: 'the documents of VSS say what there is' }),
    declaredNoApplications: false, limits: { freezeMs: 1000, holdMs: 1000, thawMs: 1000 },
    write: { workers: 1 }, programVersion: 'test', signer: testSigner(), pins: NO_PINS,
    clock, random: seededRandom(1), log: silentLog, onEvent: () => {}, ...wishes,
  }, signal)
  assert.deepEqual(host.vss.snapshotsLeft, [])
  return { summary, repository, journal: host.vss.journal }
}

/** SQL Server fails there, in a way that is not to be retried. */
const failing = (at: 'PostSnapshot' | 'Freeze' | 'BackupComplete'): Partial<VssScenario> =>
  ({ writers: [sqlWriter({ fails: { at, hresult: NEVER } }), systemWriter()] })

suite('a host backed up through VSS', () => {
  test('is graded by its writers, keeps their documents, completes behind the seal', async () => {
    const { summary, repository, journal } = await backup({})
    await using _ = repository
    assert.equal(summary.result.grade, 'application', JSON.stringify(summary.result.reasons))
    assert.deepEqual(summary.result.applications.map(({ name, grade, kind }) =>
      [name, kind, grade]), [['SqlServerWriter', 'protected', 'application'],
      ['System Writer', 'incidental', 'application'], ['NTDS', 'protected', 'application']])
    assert.ok(journal.some((line) => line === `BackupComplete ${SQL_WRITER}`))
    assert.ok(!journal.includes('AbortBackup'))
    const [point] = await readRestorePoints(repository, signal)
    assert.ok(point?.state === 'readable')
    assert.deepEqual(point.disks.map(({ id }) => id), ['c', 'd'])
    assert.deepEqual(point.documents.map(({ name }) => name).toSorted(), [
      'vss-components.xml', 'vss-not-read.json', 'vss-session.json',
      'vss-writer-11111111-5ea8-4ebc-9dbd-a0c4db26912a.xml',
      'vss-writer-11111111-6f93-4464-a53e-1050253ae220.xml',
      'vss-writer-11111111-8711-4c5c-a5a9-3cf384484757.xml'])
    const session = point.documents.find(({ name }) => name === 'vss-session.json')
    assert.ok(session !== undefined)
    const { backupType, context, steps } =
      JSON.parse(Buffer.from(await readDocument(repository, session, signal)).toString()) as
      { backupType: string; context: number; steps: { step: string }[] }
    assert.deepEqual([backupType, context], ['copy', 0])
    assert.ok(steps.some(({ step }) => step === 'DoSnapshotSet'))
    assert.deepEqual(summary.evidence.coverage.leftOut.map(({ id, reason }) => [id, reason]),
      [['volume-efefefef-0000', 'unsupported']])
  })

  test('nothing is complete before the seal, and nothing at all where there is none', async () => {
    const { journal } = await backup(failing('PostSnapshot'), 'full', {
      settings: { require: 'application', onWeaker: 'fail' } })
    assert.ok(!journal.some((line) => /^(BackupComplete|SetBackupSucceeded)/.test(line)), 'full')
    assert.ok(journal.includes('AbortBackup'))
    const host = new HostBench()
    await using set = await host.provider('full').prepare(
      { pointId: 'x', exclude: [] }, signal)
    await commitSet(set, signal)
    assert.ok(!host.vss.journal.some((line) => line.startsWith('BackupComplete')))
    assert.deepEqual((await set.complete?.(signal))?.map(({ outcome }) => outcome),
      ['told', 'told', 'told'])
    assert.ok(host.vss.journal.some((line) => line.startsWith('BackupComplete')))
  })

  test('each failure lowers the application that had it, and says why', async () => {
    for (const [at, code, others] of [
      ['PostSnapshot', 'platform-writer-failed', 'application'],
      ['Freeze', 'writer-components-missing', 'application'],
    ] as const) {
      const { summary: { result, stored } } = await backup(failing(at))
      assert.ok('snapshotId' in stored)
      assert.deepEqual([result.grade, ...result.applications.map(({ grade, reason }) =>
        [grade, reason?.code])], ['filesystem', ['filesystem', code], [others, undefined]], at)
    }
  })

  test('a component that failed is named in the evidence, whatever its words are', async () => {
    const fails = { at: 'PostSnapshot', hresult: VSS_E.WRITERERROR_PARTIAL_FAILURE, components: [{
      component: { type: 'database', logicalPath: 'HOST1', name: 'sales' },
      failure: NEVER, applicationFailure: 0, messages: ['\u202eno log', '\u001b'.repeat(1000)],
    }] } as const
    const { summary: { evidence } } = await backup({
      writers: [sqlWriter({ fails }), systemWriter()] })
    const { discovery } = evidence.applications
    assert.ok(discovery.state === 'done')
    const [sql] = discovery.applications
    assert.ok(sql?.writer.contract === 'platform-stated')
    const { statement } = sql.writer
    assert.ok(statement.includes(
      '; HOST1\\sales failed: 0x800423f4 WRITERERROR_NONRETRYABLE, "\\u202eno log"'), statement)
    assert.ok(statement.length < 1000)
    assert.ok(evidence.hold.by === 'platform' && evidence.hold.documents.some(({ name, text }) =>
      name === 'vss-session.json' && text.includes('component of SqlServerWriter')))
  })

  test('a writer that fails at BackupComplete is told in the record, and changes no point',
    async () => {
      const { summary, repository } = await backup(failing('BackupComplete'))
      await using _ = repository
      assert.equal(summary.result.grade, 'application')
      const { records } = await readCatalog(repository, signal, NO_PINS)
      const told = records.flatMap(({ signed: { statement } }) =>
        statement.kind === 'completion' ? statement.applications : [])
      assert.deepEqual(told.map(({ name, outcome, detail }) => [name, outcome, detail]), [
        ['SqlServerWriter', 'failed',
          'behind BackupComplete it was in state 12, 0x800423f4 WRITERERROR_NONRETRYABLE'],
        ['System Writer', 'told', '']])
    })

  test('data on a volume that is excluded is not covered', async () => {
    const { summary: { result } } = await backup({}, 'copy', { exclude: ['d'] })
    assert.deepEqual(result.applications.map(({ name, grade }) => [name, grade]), [
      ['SqlServerWriter', 'not-covered'], ['System Writer', 'application'],
      ['NTDS', 'application']])
    assert.equal(result.grade, 'filesystem')
  })

  test('where writers keep the set from being made, one without them is filesystem at most',
    async () => {
      const failures = [
        { step: 'PrepareForBackup', hresult: VSS_E.UNEXPECTED_WRITER_ERROR, times: 1 }]
      const { summary: { result, evidence }, journal } = await backup({ failures })
      assert.equal(result.grade, 'filesystem')
      assert.ok(result.reasons.some(({ code }) => code === 'writers-not-involved'))
      assert.ok(journal.includes('SetContext 0x00000010'))
      assert.ok(evidence.hold.by === 'platform' && evidence.hold.documents.some(({ name, text }) =>
        name === 'vss-fault' && text.includes('0x80042315')))
      await assert.rejects(backup({ failures }, 'copy', {
        settings: { require: 'application', onWeaker: 'fail' } }), /0x80042315/)
    })

  test('machines under Hyper-V are told apart, and none is raised by its host', async () => {
    const caption = (document: string, name: string, text: string): string =>
      document.replace(`componentName="${name}" caption=""`,
        `componentName="${name}" caption="${text}"`)
    const plain = sampleWriter(HYPERV_WRITER, 'Microsoft Hyper-V VSS Writer', [
      { name: 'guid-1', paths: ['D:\\vm1'] }, { name: 'guid-2', paths: ['D:\\vm2'] },
      { name: 'Host Component', paths: ['C:\\ProgramData'] }])
    const document = (second: string): string =>
      caption(caption(plain.document, 'guid-1', 'Online\\db1'), 'guid-2', second)
    const grades = async (second: string): Promise<readonly unknown[]> => {
      const { summary: { result } } =
        await backup({ writers: [{ ...plain, document: document(second) }] })
      return [result.grade, ...result.applications.map(({ name, grade, reason }) =>
        [name, grade, reason?.code])]
    }
    assert.deepEqual(await grades('Online\\web1'), ['filesystem',
      ['Hyper-V machine db1', 'filesystem', 'guest-by-host'],
      ['Hyper-V machine web1', 'filesystem', 'guest-by-host']])
    assert.deepEqual(await grades('Saved State\\web1'), ['filesystem',
      ['Hyper-V machine db1', 'filesystem', 'guest-by-host'],
      ['Hyper-V machine web1', 'crash', 'guest-saved']])
  })
})

test('a shadow copy that Windows drops breaks the instant', async () => {
  const failures = [{ step: 'GetSnapshotProperties', hresult: VSS_E.OBJECT_NOT_FOUND }]
  const host = new HostBench()
  await using set = await host.provider().prepare({ pointId: 'x', exclude: [] }, signal)
  const committed = await commitSet(set, signal)
  assert.deepEqual(await committed.stillIntact(signal), { intact: true })
  host.vss.fail(failures)
  assert.match(JSON.stringify(await committed.stillIntact(signal)), /a shadow copy is gone/)
})
