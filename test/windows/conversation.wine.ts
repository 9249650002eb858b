/** One conversation with the test's vssapi.dll through koffi, as Windows has it. */

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { systemClock } from '../../src/base/clock.ts'
import { BackupComponents } from '../../src/providers/vss/native/backup-components.ts'
import { loadVss } from '../../src/providers/vss/native/com.ts'
import { startTestHost } from './test-host.ts'

const VOLUME = '\\\\?\\Volume{11111111-1111-1111-1111-111111111111}\\'
const SQL = {
  writerId: 'a65faa63-5ea8-4ebc-9dbd-a0c4db26912a',
  instanceId: '00000000-0000-0000-0000-0000000000a1',
  name: 'SqlServerWriter',
  document: '<WRITER_METADATA>naïve 数</WRITER_METADATA>',
}
const SYSTEM = {
  writerId: 'e8132975-6f93-4464-a53e-1050253ae220',
  instanceId: '00000000-0000-0000-0000-0000000000a2',
  name: 'System Writer',
  document: '<WRITER_METADATA/>',
}

test('a whole backup passes through the vtables in its order, and leaves nothing', async () => {
  await using host = await startTestHost({ volumes: [VOLUME], writers: [SQL, SYSTEM] })
  const backup = await BackupComponents.create(loadVss('C:\\windows\\system32'), systemClock)
  await backup.initialize(0, 5, false)
  await backup.step('GatherWriterMetadata')
  assert.equal(await backup.writerCount(), 2)
  const parts: string[] = []
  const take = (part: string): Promise<void> => {
    parts.push(part)
    return Promise.resolve()
  }
  assert.deepEqual({ ...await backup.writerDocument(0, take), document: parts.join('') }, SQL)
  parts.length = 0
  await backup.freeWriterMetadata()
  const component = { ...SQL, type: 1, logicalPath: null, name: 'master' }
  await backup.addComponent(component)
  const set = await backup.startSnapshotSet()
  assert.equal(await backup.isVolumeSupported(VOLUME), true)
  const id = await backup.addToSnapshotSet(VOLUME)
  await backup.step('PrepareForBackup')
  await backup.step('DoSnapshotSet')
  await backup.step('GatherWriterStatus')
  assert.deepEqual((await backup.writerStatuses()).map((it) => [it.name, it.state, it.failure]),
    [['SqlServerWriter', 5, 0], ['System Writer', 1, 0]])
  const snapshot = await backup.snapshotProperties(id)
  assert.deepEqual({ ...snapshot, createdMs: 0 }, {
    snapshotId: id, snapshotSetId: set, originalVolume: VOLUME, attributes: 0x420000, createdMs: 0,
    device: '\\\\?\\GLOBALROOT\\Device\\HarddiskVolumeShadowCopy1' })
  assert.ok(Math.abs(snapshot.createdMs - systemClock.nowMs()) < 600_000)
  assert.equal(await readFile(snapshot.device, 'utf8'), VOLUME)
  await backup.setBackupSucceeded(component, true)
  await backup.step('BackupComplete')
  await backup.componentsDocument(take)
  assert.match(parts.join(''),
    /<COMPONENT componentName="master" componentType="database" backupSucceeded="yes"\/>/)
  await backup.release()

  const journal = await host.journal()
  const heard = (id: string): readonly string[] => journal
    .filter(([, kind, , writer]) => kind === 'event' && writer === `{${id.toUpperCase()}}`)
    .map(([, , event = '']) => event)
  assert.deepEqual(heard(SQL.writerId), [
    'Identify', 'PrepareForBackup', 'PrepareForSnapshot', 'Freeze', 'Thaw', 'PostSnapshot',
    'BackupComplete', 'BackupShutdown'])
  assert.deepEqual(heard(SYSTEM.writerId), ['Identify', 'PrepareForBackup', 'BackupShutdown'])
  assert.deepEqual(journal.filter(([, kind]) => kind === 'out of order'), [])
  assert.deepEqual(journal.at(-1), ['1', 'end', 'released', 'complete', '0 shadow copies left'])
})
