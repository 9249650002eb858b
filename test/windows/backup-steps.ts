/** A whole backup over a transport, for tests that break into it. */

import {
  DATA_VOLUME, parseWriterMetadata, SYSTEM_VOLUME,
} from '../../src/providers/testing/mod.ts'
import {
  CONTEXT, type BackupSetup, type ComponentReference, type VssBackup, type VssTransport,
} from '../../src/providers/vss/session/transport.ts'

export const COPY: BackupSetup = {
  context: CONTEXT.BACKUP, backupType: 'copy', bootableSystemState: false }

/** Every component of every writer, both volumes, to BackupComplete; released however it ends. */
export async function wholeBackup(transport: VssTransport, signal: AbortSignal): Promise<void> {
  await using backup = await transport.open(COPY, signal)
  const { added, snapshotIds } = await prepared(backup, signal)
  await backup.doSnapshotSet(signal)
  await backup.gatherWriterStatus(signal)
  for (const id of snapshotIds) await backup.snapshotProperties(id, signal)
  for (const component of added) await backup.setBackupSucceeded(component, true, signal)
  await backup.backupComplete(signal)
  await backup.gatherWriterStatus(signal)
  await backup.saveDocuments(signal)
}

export async function prepared(backup: VssBackup, signal: AbortSignal): Promise<{
  readonly added: readonly ComponentReference[]
  readonly snapshotIds: readonly string[]
}> {
  const writers = await backup.gatherWriterMetadata(signal)
  const added = writers.flatMap(({ writerId, instanceId, document = '' }) =>
    parseWriterMetadata(document).components.map(({ type, logicalPath, name }) =>
      ({ writerId, instanceId, type, logicalPath, name })))
  for (const component of added) await backup.addComponent(component, signal)
  await backup.startSnapshotSet(signal)
  const snapshotIds: string[] = []
  for (const volume of [SYSTEM_VOLUME, DATA_VOLUME]) {
    await backup.isVolumeSupported(volume, signal)
    snapshotIds.push(await backup.addToSnapshotSet(volume, signal))
  }
  await backup.prepareForBackup(signal)
  return { added, snapshotIds }
}
