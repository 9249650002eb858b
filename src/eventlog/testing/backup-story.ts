/**
 * What Windows logs around backups, as the products write it: events of which there is no public
 * sample. Sources, numbers and the order of the strings as they are documented; the texts behind
 * the numbers are not in a log.
 */

import type { WrittenEvent } from './write-event-log.ts'

const INFORMATION = { level: 4 }
const ERROR = { level: 2 }

/** SQL Server's three about one database (3197 frozen, 3198 resumed, 18264 backed up). */
export function sqlServerBackup(
  database: string, frozenAtMs: number, source = 'MSSQLSERVER'): readonly WrittenEvent[] {
  const shared = { source, qualifiers: 16_384, ...INFORMATION }
  return [
    { ...shared, id: 3197, atMs: frozenAtMs, data: [database] },
    { ...shared, id: 3198, atMs: frozenAtMs + 1500, data: [database] },
    { ...shared, id: 18_264, atMs: frozenAtMs + 3000, data: [
      database, '2026/11/01(09:00:00)', '354', '34:328:37', '34:352:1', '1',
      'FILE=1, TYPE=VIRTUAL_DEVICE: {\'{0D3F2C1A-5E4B-4F6A-8C9D-112233445566}1\'}',
      ''] },
  ]
}

const T0 = Date.UTC(2026, 10, 20, 2, 0, 0)

/** One good backup with two databases, then one where much went wrong, then a restored boot. */
export const BACKUP_STORY: readonly WrittenEvent[] = [
  { source: 'ESENT', id: 2005, atMs: T0, data: ['svchost', '1180', '', '3'], ...INFORMATION },
  { source: 'ESENT', id: 2001, atMs: T0 + 2000, data: ['svchost', '1180', '', '3'] },
  ...sqlServerBackup('master', T0 + 2000),
  ...sqlServerBackup('Shop', T0 + 2010, 'MSSQL$SHOP'),
  { source: 'ESENT', id: 2003, atMs: T0 + 4000, data: ['svchost', '1180', '', '3'] },
  { source: 'ESENT', id: 2006, atMs: T0 + 60_000, data: ['svchost', '1180', '', '3'] },
  { source: 'VSS', id: 8224, atMs: T0 + 240_000, data: [''] },
  { source: 'VSS', id: 8194, atMs: T0 + 3_600_000, ...ERROR,
    data: ['0x80070005, Access is denied.\r\n', '\n\nOperation:\n   Gathering Writer Data'] },
  { source: 'VSS', id: 12_289, atMs: T0 + 3_601_000, ...ERROR,
    data: ['DeviceIoControl', '0x8007001f', '\n\nOperation:\n   Processing PostFinalCommit'] },
  { source: 'SQLWRITER', id: 24_583, atMs: T0 + 3_602_000, ...ERROR,
    data: ['Sqllib error: OLEDB Error encountered calling ICommandText::Execute.'] },
  { source: 'MSSQLSERVER', id: 3041, qualifiers: 49_152, atMs: T0 + 3_603_000, ...ERROR,
    data: ['BACKUP DATABASE Shop'] },
  { source: 'MSExchangeIS', id: 9607, atMs: T0 + 3_604_000, ...ERROR, data: ['0xfffffffc'] },
  { source: 'ESE', id: 225, atMs: T0 + 3_605_000, data: ['Information Store', '4120', '', 'DB1'] },
  { source: 'volsnap', id: 8, channel: 'System', atMs: T0 + 3_606_000, ...ERROR,
    data: { DeviceName: '\\Device\\HarddiskVolumeShadowCopy9', VolumeName: 'C:' } },
  { source: 'Microsoft-Windows-Kernel-General', id: 12, channel: 'System',
    atMs: T0 + 86_400_000, data: { MajorVersion: '10', StopTime: '2026-11-21T02:00:00.000Z' } },
  { source: 'Microsoft-Windows-Kernel-Power', id: 41, channel: 'System', level: 1,
    atMs: T0 + 86_405_000, data: { BugcheckCode: '0', PowerButtonTimestamp: '0' } },
  { source: 'EventLog', id: 6008, qualifiers: 32_768, channel: 'System', ...ERROR,
    atMs: T0 + 86_406_000, data: ['2:00:02 AM', '11/20/2026', '', '', '86404', '', ''] },
]
