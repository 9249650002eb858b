/** A host of tests in two volumes with three writers; made by hand. */

import { escapeXml } from '../../../base/xml.ts'
import type { VolumeOfPath } from '../../vss/session/selection.ts'
import { volumesOfHost } from '../../vss/session/paths.ts'
import type { ScriptedWriter, VssScenario } from './scenario.ts'

export const SYSTEM_VOLUME = '\\\\?\\Volume{c0c0c0c0-0000-4000-8000-0000000000c1}\\'
export const DATA_VOLUME = '\\\\?\\Volume{d0d0d0d0-0000-4000-8000-0000000000d2}\\'

export const SQL_WRITER = 'a65faa63-5ea8-4ebc-9dbd-a0c4db26912a'
export const SYSTEM_WRITER = 'e8132975-6f93-4464-a53e-1050253ae220'
export const NTDS_WRITER = 'b2014c9e-8711-4c5c-a5a9-3cf384484757'

export interface SampleComponent {
  readonly type?: 'DATABASE' | 'FILE_GROUP'
  readonly logicalPath?: string
  readonly name: string
  readonly selectable?: boolean
  /** Folders of its files. */
  readonly paths: readonly string[]
}

/** A writer metadata document. */
export function sampleDocument(
  identity: Pick<ScriptedWriter, 'writerId' | 'instanceId' | 'name'>,
  components: readonly SampleComponent[], more = '',
): string {
  return '<WRITER_METADATA xmlns="x-schema:#VssWriterMetadataInfo" version="1.1">' +
    `<IDENTIFICATION writerId="${identity.writerId.toUpperCase()}" ` +
    `instanceId="${identity.instanceId}" friendlyName="${escapeXml(identity.name)}" ` +
    'usage="USER_DATA" dataSource="TRANSACTION_DB"/>' +
    '<RESTORE_METHOD method="RESTORE_IF_CAN_BE_REPLACED" writerRestore="always" ' +
    `rebootRequired="no"/>${more}<BACKUP_LOCATIONS>${
      components.map(componentXml).join('')}</BACKUP_LOCATIONS></WRITER_METADATA>`
}

function componentXml(
  { type = 'FILE_GROUP', logicalPath, name, selectable = true, paths }: SampleComponent): string {
  const files = type === 'DATABASE' ? 'DATABASE_FILES' : 'FILE_LIST'
  return `<${type} ${logicalPath === undefined ? '' : `logicalPath="${escapeXml(logicalPath)}" `}` +
    `componentName="${escapeXml(name)}" caption="" restoreMetadata="no" ` +
    `notifyOnBackupComplete="yes" selectable="${selectable ? 'yes' : 'no'}" ` +
    `selectableForRestore="yes" componentFlags="0">${paths.map((path) =>
      `<${files} path="${escapeXml(path)}" filespec="*" recursive="yes" ` +
      'filespecBackupType="3855"/>').join('')}</${type}>`
}

export function sampleWriter(
  writerId: string, name: string, components: readonly SampleComponent[],
  more: Partial<ScriptedWriter> = {},
): ScriptedWriter {
  // An instance id is new each time the writer's service starts; here it is made of the class id.
  const identity = { writerId, instanceId: writerId.replace(/^.{8}/, '11111111'), name }
  return { ...identity, document: sampleDocument(identity, components), ...more }
}

export function sqlWriter(more: Partial<ScriptedWriter> = {}): ScriptedWriter {
  return sampleWriter(SQL_WRITER, 'SqlServerWriter', [
    { type: 'DATABASE', logicalPath: 'HOST1', name: 'master', paths: ['C:\\sql\\'] },
    { type: 'DATABASE', logicalPath: 'HOST1', name: 'sales', paths: ['D:\\sql', 'D:\\log'] },
  ], more)
}

/** SQL Server with a document of 2 MB: 200 databases of 100 files each. */
export function largeWriter(more: Partial<ScriptedWriter> = {}): ScriptedWriter {
  return sampleWriter(SQL_WRITER, 'SqlServerWriter', Array.from({ length: 200 }, (_, base) => ({
    type: 'DATABASE' as const, logicalPath: 'HOST1', name: `base ${base}`,
    paths: Array.from({ length: 100 }, (_, part) => `D:\\sql\\${base}\\part ${part} \u6570`),
  })), more)
}

export function systemWriter(more: Partial<ScriptedWriter> = {}): ScriptedWriter {
  return sampleWriter(SYSTEM_WRITER, 'System Writer', [
    { name: 'System Files', selectable: false, paths: ['%SystemRoot%\\System32'] }], more)
}

/** NTDS says that its one component cannot be selected, yet it must be added. */
export function ntdsWriter(more: Partial<ScriptedWriter> = {}): ScriptedWriter {
  return sampleWriter(NTDS_WRITER, 'NTDS', [{
    type: 'DATABASE', logicalPath: 'C:_Windows_NTDS', name: 'ntds', selectable: false,
    paths: ['C:\\Windows\\NTDS'] }], more)
}

export function sampleHost(more: Partial<VssScenario> = {}): VssScenario {
  return {
    volumes: [SYSTEM_VOLUME, DATA_VOLUME],
    writers: [sqlWriter(), systemWriter(), ntdsWriter()], ...more,
  }
}

export const sampleVolumeOf: VolumeOfPath = volumesOfHost({
  mounts: new Map([['C:\\', SYSTEM_VOLUME], ['D:\\', DATA_VOLUME]]),
  environment: new Map([['SystemRoot', 'C:\\Windows']]),
})
