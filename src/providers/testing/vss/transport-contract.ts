/** What every transport to VSS keeps to, by the journal of what stands in for VSS. */

import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { parseBackupComponents, parseWriterMetadata } from '../../vss/session/documents.ts'
import { isVssFault, VSS_E } from '../../vss/session/hresult.ts'
import {
  ATTRIBUTE, CONTEXT, type BackupSetup, type ComponentReference, type FailedComponent,
  type GatheredWriter, type VssBackup, type VssTransport,
} from '../../vss/session/transport.ts'
import {
  DATA_VOLUME, NTDS_WRITER, sampleHost, sqlWriter, SQL_WRITER, SYSTEM_VOLUME, SYSTEM_WRITER,
} from './sample-host.ts'
import { VSS_EVENTS, type VssScenario } from './scenario.ts'

/** A transport to a host that plays `scenario`. */
export interface VssBench extends AsyncDisposable {
  readonly transport: VssTransport
  /** The lines of scenario.ts, so far. */
  journal(): Promise<readonly string[]>
}

export type OpenVssBench = (scenario: VssScenario) => Promise<VssBench>

const COPY: BackupSetup = {
  context: CONTEXT.BACKUP, backupType: 'copy', bootableSystemState: false }
const signal = new AbortController().signal

export interface ContractOptions {
  /** Why it cannot run here, for a loud skip. */
  readonly skip?: string | false
  /**
   * The transport makes the set in one go, and has documents and states behind it only: then what
   * leads there cannot be looked at step by step.
   */
  readonly inOneGo?: boolean
}

export function vssTransportContract(
  name: string, open: OpenVssBench, { skip = false, inOneGo = false }: ContractOptions = {}): void {
  suite(`a VSS transport: ${name}`, { skip }, () => {
    if (!inOneGo) {
      contractOfOrder(open)
      contractOfStates(open)
    }
    contractOfFailures(open, inOneGo)
    if (inOneGo) {
      test('which component of a writer failed it cannot say, and does not try', async () => {
        await using bench = await open(sampleHost())
        await using backup = await bench.transport.open(COPY, signal)
        assert.ok(!('failedComponents' in backup))
      })
    }
    contractOfEnds(open)
  })
}

function contractOfOrder(open: OpenVssBench): void {
  test('a whole backup, each event in its order, to the writers that take part', async () => {
    await using bench = await open(sampleHost())
    await using backup = await bench.transport.open(COPY, signal)
    const writers = await backup.gatherWriterMetadata(signal)
    assert.deepEqual(writers.map(({ writerId, name }) => [writerId, name]), [
      [SQL_WRITER, 'SqlServerWriter'], [SYSTEM_WRITER, 'System Writer'], [NTDS_WRITER, 'NTDS']])
    const added = await addAll(backup, writers, SQL_WRITER)
    const ids = await addVolumes(backup)
    await backup.prepareForBackup(signal)
    assert.deepEqual(await states(backup), [[1, 0], [1, 0], [1, 0]])
    await backup.doSnapshotSet(signal)
    assert.deepEqual((await states(backup))[0], [5, 0])
    await checkSnapshots(backup, ids)
    await checkDocuments(backup, writers, added, null)
    for (const component of added) await backup.setBackupSucceeded(component, true, signal)
    await backup.backupComplete(signal)
    assert.deepEqual(await states(backup), [[1, 0], [1, 0], [1, 0]])
    await checkDocuments(backup, writers, added, true)
    await backup[Symbol.asyncDispose]()
    await backup[Symbol.asyncDispose]()
    assert.deepEqual(eventsOf(await bench.journal(), SQL_WRITER), VSS_EVENTS)
    assert.deepEqual(eventsOf(await bench.journal(), SYSTEM_WRITER),
      ['Identify', 'PrepareForBackup', 'BackupShutdown'], 'no component, no event')
    assert.deepEqual((await bench.journal()).filter((line) => !VSS_EVENTS.some((event) =>
      line.startsWith(`${event} `))), [
      'Create', 'SetContext 0x00000000',
      'SetBackupState components=1 bootable=0 type=5 partial=0',
      `AddComponent ${SQL_WRITER} 1 HOST1|master`, `AddComponent ${SQL_WRITER} 1 HOST1|sales`,
      'StartSnapshotSet', `AddToSnapshotSet ${SYSTEM_VOLUME}`, `AddToSnapshotSet ${DATA_VOLUME}`,
      `SetBackupSucceeded ${SQL_WRITER} HOST1|master 1`,
      `SetBackupSucceeded ${SQL_WRITER} HOST1|sales 1`, 'Release'])
  })

  test('a call out of order is BAD_STATE, and harms nothing', async () => {
    await using bench = await open(sampleHost())
    await using backup = await bench.transport.open(COPY, signal)
    await assert.rejects(backup.prepareForBackup(signal), failsWith(VSS_E.BAD_STATE))
    await assert.rejects(backup.doSnapshotSet(signal), failsWith(VSS_E.BAD_STATE))
    await backup.gatherWriterMetadata(signal)
    await assert.rejects(backup.backupComplete(signal), failsWith(VSS_E.BAD_STATE))
    await addVolumes(backup)
    await backup.prepareForBackup(signal)
    await backup.doSnapshotSet(signal)
  })
}

/** The state that a failure at an event leaves (vss.h). */
const FAILED_STATES = [
  ['PrepareForBackup', 7], ['PrepareForSnapshot', 8], ['Freeze', 9], ['Thaw', 10],
  ['PostSnapshot', 11],
] as const

function contractOfStates(open: OpenVssBench): void {
  for (const [at, state] of FAILED_STATES) {
    test(`a writer that fails at ${at} is in state ${state}, with its code`, async () => {
      const fails = { at, hresult: VSS_E.WRITERERROR_NONRETRYABLE }
      await using bench = await open(sampleHost({ writers: [sqlWriter({ fails })] }))
      await using backup = await ready(bench)
      const makesItFail = state === 9 || state === 10
      const done = backup.doSnapshotSet(signal)
      if (makesItFail) await assert.rejects(done, (error) => isVssFault(error))
      else await done
      assert.deepEqual(await states(backup), [[state, VSS_E.WRITERERROR_NONRETRYABLE]])
      await backup.abortBackup(signal)
      await backup.abortBackup(signal)
      await backup[Symbol.asyncDispose]()
      const journal = await bench.journal()
      assert.ok(journal.includes('AbortBackup'))
      assert.ok(!journal.some((line) => line.startsWith('BackupComplete ')))
      assert.equal(journal.at(-1), `BackupShutdown ${SQL_WRITER}`)
    })
  }

  test('a writer that fails at BackupComplete shows it then', async () => {
    const fails = { at: 'BackupComplete', hresult: VSS_E.WRITERERROR_RETRYABLE } as const
    await using bench = await open(sampleHost({ writers: [sqlWriter({ fails })] }))
    await using backup = await ready(bench)
    await backup.doSnapshotSet(signal)
    await backup.backupComplete(signal)
    assert.deepEqual(await states(backup), [[12, VSS_E.WRITERERROR_RETRYABLE]])
  })

  for (const at of ['PrepareForBackup', 'PostSnapshot'] as const) {
    test(`which component failed at ${at}, and what it says of it`, async () => {
      const fails = { at, hresult: VSS_E.WRITERERROR_PARTIAL_FAILURE, components: FAILED_SALES }
      await using bench = await open(sampleHost({ writers: [sqlWriter({ fails })] }))
      await using backup = await ready(bench)
      const [sql] = await backup.gatherWriterStatus(signal)
      const ask = (): Promise<readonly FailedComponent[]> | undefined =>
        backup.failedComponents?.(sql?.instanceId ?? '', signal)
      assert.deepEqual(await ask(), at === 'PrepareForBackup' ? FAILED_SALES : [])
      await backup.doSnapshotSet(signal)
      assert.deepEqual(await ask(), FAILED_SALES)
      assert.deepEqual(await backup.failedComponents?.(SYSTEM_WRITER, signal), [], 'of no such')
      assert.deepEqual(await ask(), FAILED_SALES)
    })
  }

  test('a writer that falls silent is said not to respond, or is absent', async () => {
    await using bench = await open(sampleHost({ writers: [
      sqlWriter({ silentFrom: 'PostSnapshot' }),
      { ...sqlWriter(), writerId: NTDS_WRITER, instanceId: NTDS_WRITER, silentFrom: 'Identify' },
    ] }))
    await using backup = await ready(bench)
    await backup.doSnapshotSet(signal)
    const statuses = await backup.gatherWriterStatus(signal)
    assert.deepEqual(statuses.map(({ writerId, failure }) => [writerId, failure]),
      [[SQL_WRITER, VSS_E.WRITER_NOT_RESPONDING]])
  })

}

const FAILED_SALES: readonly FailedComponent[] = [{
  component: { type: 'database', logicalPath: 'HOST1', name: 'sales' },
  failure: VSS_E.WRITERERROR_NONRETRYABLE, applicationFailure: 0x80040e14,
  messages: ['na\u00efve \u6570 before', 'and \u001b[2J behind', 'the log is full'],
}]

function contractOfFailures(open: OpenVssBench, inOneGo: boolean): void {
  test('what a step of VSS ends with comes back as it is', async () => {
    const steps = [
      ['DoSnapshotSet', VSS_E.HOLD_WRITES_TIMEOUT],
      ['GatherWriterMetadata', VSS_E.WRITER_INFRASTRUCTURE],
      ['StartSnapshotSet', VSS_E.SNAPSHOT_SET_IN_PROGRESS]] as const
    for (const [step, hresult] of inOneGo ? steps.slice(0, 1) : steps) {
      await using bench = await open(sampleHost({ failures: [{ step, hresult }] }))
      await assert.rejects(async () => {
        await using backup = await ready(bench)
        await backup.doSnapshotSet(signal)
      }, (error) => isVssFault(error, hresult) && error.step === step)
    }
  })

  test('a volume that is not there is OBJECT_NOT_FOUND', async () => {
    await using bench = await open(sampleHost())
    await using backup = await bench.transport.open(COPY, signal)
    await backup.gatherWriterMetadata(signal)
    await backup.startSnapshotSet(signal)
    await assert.rejects(async () => {
      await backup.addToSnapshotSet('X:\\', signal)
      await backup.prepareForBackup(signal)
      await backup.doSnapshotSet(signal)
    }, failsWith(VSS_E.OBJECT_NOT_FOUND))
  })
}

function contractOfEnds(open: OpenVssBench): void {
  test('type and context reach VSS, and the snapshots say it', async () => {
    await using bench = await open(sampleHost())
    {
      await using backup = await bench.transport.open(
        { ...COPY, context: CONTEXT.FILE_SHARE_BACKUP, backupType: 'full' }, signal)
      await backup.gatherWriterMetadata(signal)
      const ids = await addVolumes(backup)
      await backup.prepareForBackup(signal)
      await backup.doSnapshotSet(signal)
      const { attributes } = await backup.snapshotProperties(ids[0] ?? '', signal)
      assert.equal(attributes & ATTRIBUTE.NO_WRITERS, ATTRIBUTE.NO_WRITERS)
    }
    assert.deepEqual((await bench.journal()).slice(1, 3), ['SetContext 0x00000010',
      'SetBackupState components=1 bootable=0 type=1 partial=0'])
  })

  test('a signal ends a step that hangs; Abort and Release still work', async () => {
    await using bench = await open(sampleHost({ hangs: ['DoSnapshotSet'] }))
    await using backup = await ready(bench)
    const controller = new AbortController()
    const hanging = backup.doSnapshotSet(controller.signal)
    setImmediate(() => controller.abort(new Error('enough')))
    await assert.rejects(hanging, /enough/)
    await backup.abortBackup(signal)
    await backup[Symbol.asyncDispose]()
    assert.ok(!(await bench.journal()).some((line) => line.startsWith('Freeze')))
    await assert.rejects(bench.transport.open(COPY, AbortSignal.abort(new Error('no'))), /no/)
  })

  test('Release without BackupComplete is BackupShutdown alone; the next may begin', async () => {
    await using bench = await open(sampleHost({ writers: [sqlWriter()] }))
    {
      await using backup = await ready(bench)
      await backup.doSnapshotSet(signal)
    }
    assert.deepEqual(eventsOf(await bench.journal(), SQL_WRITER),
      VSS_EVENTS.filter((event) => event !== 'BackupComplete'))
    await using next = await ready(bench)
    await next.doSnapshotSet(signal)
  })
}

/** Prepared, both volumes in the set, all components of the SQL writer added. */
async function ready(bench: VssBench): Promise<VssBackup> {
  const backup = await bench.transport.open(COPY, signal)
  try {
    const writers = await backup.gatherWriterMetadata(signal)
    if (writers.some(({ document }) => document !== undefined)) {
      await addAll(backup, writers, SQL_WRITER)
    } else await backup.requireWriter?.(SQL_WRITER, signal)
    await addVolumes(backup)
    await backup.prepareForBackup(signal)
    return backup
  } catch (error) {
    await backup[Symbol.asyncDispose]()
    throw error
  }
}

async function addAll(
  backup: VssBackup, writers: readonly GatheredWriter[], writerId: string,
): Promise<readonly ComponentReference[]> {
  const references = writers.filter((it) => it.writerId === writerId).flatMap((writer) =>
    parseWriterMetadata(writer.document ?? '').components.map(({ type, logicalPath, name }) => ({
      writerId, instanceId: writer.instanceId, type, logicalPath, name })))
  for (const reference of references) await backup.addComponent(reference, signal)
  return references
}

async function addVolumes(backup: VssBackup): Promise<readonly string[]> {
  await backup.startSnapshotSet(signal)
  const ids: string[] = []
  for (const volume of [SYSTEM_VOLUME, DATA_VOLUME]) {
    assert.equal(await backup.isVolumeSupported(volume, signal), true)
    ids.push(await backup.addToSnapshotSet(volume, signal))
  }
  return ids
}

async function states(backup: VssBackup): Promise<readonly (readonly [number, number])[]> {
  const statuses = await backup.gatherWriterStatus(signal)
  return statuses.map(({ state, failure }) => [state, failure] as const)
}

async function checkSnapshots(backup: VssBackup, ids: readonly string[]): Promise<void> {
  for (const [at, volume] of [SYSTEM_VOLUME, DATA_VOLUME].entries()) {
    const found = await backup.snapshotProperties(ids[at] ?? '', signal)
    assert.equal(found.snapshotId, ids[at])
    assert.equal(found.originalVolume, volume)
    assert.match(found.device, /^\\\\\?\\GLOBALROOT\\Device\\HarddiskVolumeShadowCopy\d+$/)
    assert.equal(found.attributes & ATTRIBUTE.NO_WRITERS, 0)
    assert.ok(Number.isSafeInteger(found.createdMs) && found.createdMs > 0)
  }
}

async function checkDocuments(
  backup: VssBackup, writers: readonly GatheredWriter[], added: readonly ComponentReference[],
  succeeded: boolean | null,
): Promise<void> {
  const { backupComponents, writerMetadata } = await backup.saveDocuments(signal)
  const [writer, ...others] = parseBackupComponents(backupComponents).writers
  assert.equal(others.length, 0)
  assert.equal(writer?.writerId, SQL_WRITER)
  assert.deepEqual(writer?.components, added.map(({ logicalPath, name }) =>
    ({ logicalPath, name, backupSucceeded: succeeded })))
  assert.deepEqual(writerMetadata.map(({ document }) => parseWriterMetadata(document).writerId),
    writers.map(({ writerId }) => writerId))
}

function eventsOf(journal: readonly string[], writerId: string): readonly string[] {
  return journal.filter((line) => line.endsWith(` ${writerId}`)).map((line) => line.split(' ')[0] ??
    '')
}

function failsWith(hresult: number): (error: unknown) => boolean {
  return (error) => isVssFault(error, hresult)
}
