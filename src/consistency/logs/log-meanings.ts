/**
 * What records of a Windows event log mean for a backup, in plain words. Which product logs what
 * and when: Microsoft's pages on each, and where no page was found, common knowledge of the field
 * (docs/unproven.md). The texts of Windows itself are not in a log.
 */

import { isNamed, type EventRecord } from '../../eventlog/mod.ts'

export type LogTone = 'good' | 'plain' | 'bad'

export interface LogMeaning {
  readonly sources: readonly string[]
  readonly ids: readonly number[]
  readonly tone: LogTone
  /** A sentence without its subject's values. */
  readonly means: string
  /** Which of the event's values is worth showing, from 0. */
  readonly shows?: number
}

export const SQL_SERVER = ['MSSQLSERVER', 'MSSQL$*']
export const JET = ['ESENT', 'ESE']
export const VSS_FAILURES: readonly number[] =
  [12_290, 12_291, 12_292, 12_293, 12_294, 12_295, 12_296, 12_297, 12_298, 12_305, 12_340]
export const VSS_DOUBTS: readonly number[] = [8193, 8194, 12_289]

const LOG_MEANINGS: readonly LogMeaning[] = [
  { sources: SQL_SERVER, ids: [3197], tone: 'good', shows: 0,
    means: 'SQL Server holds the writes of a database' },
  { sources: SQL_SERVER, ids: [3198], tone: 'good', shows: 0,
    means: 'SQL Server lets the writes of a database go on' },
  { sources: SQL_SERVER, ids: [18_264], tone: 'good', shows: 0,
    means: 'SQL Server counts a database as backed up' },
  { sources: SQL_SERVER, ids: [18_265], tone: 'plain', shows: 0,
    means: 'SQL Server backed up a transaction log: another program owns the chain of logs' },
  { sources: SQL_SERVER, ids: [3041, 18_210], tone: 'bad', shows: 0,
    means: 'SQL Server could not finish a backup' },
  { sources: ['SQLWRITER'], ids: [24_583], tone: 'bad', shows: 0,
    means: 'SQL Server\'s VSS writer failed' },
  { sources: ['SQLVDI'], ids: [1], tone: 'bad', means: 'SQL Server\'s backup device failed' },
  { sources: JET, ids: [2005], tone: 'plain', shows: 0,
    means: 'a Jet database engine was told that a shadow copy begins' },
  { sources: JET, ids: [2001], tone: 'good', shows: 0, means: 'a Jet database engine holds still' },
  { sources: JET, ids: [2003], tone: 'good', shows: 0, means: 'a Jet database engine goes on' },
  { sources: JET, ids: [2006], tone: 'good', shows: 0,
    means: 'a Jet database engine was told that the backup is complete' },
  { sources: JET, ids: [2002, 2004, 2007], tone: 'bad', shows: 0,
    means: 'a Jet database engine failed to hold still, to go on, or to complete' },
  { sources: JET, ids: [300, 301, 302], tone: 'plain', shows: 0,
    means: 'a Jet database replayed its logs: it had not been shut down before' },
  { sources: JET, ids: [224, 225], tone: 'plain', shows: 0,
    means: 'logs of a database that are backed up were deleted, or need not be' },
  { sources: ['MSExchangeIS'], ids: [9607, 9611], tone: 'bad',
    means: 'Exchange refused to prepare or to hold still: often an earlier session was left open' },
  { sources: ['MSExchangeRepl'], ids: [2021, 2023, 2025, 2027, 2029, 2033, 2035, 2037, 2038, 2046],
    tone: 'plain', means: 'Exchange\'s VSS writer took a step of a backup' },
  { sources: ['VSS'], ids: [8224], tone: 'plain',
    means: 'the shadow copy service went idle: some backup used it in the minutes before' },
  { sources: ['VSS'], ids: [8194], tone: 'bad',
    means: 'a VSS writer was not allowed to call the backup program back: what it had to say of ' +
      'its data is lost' },
  { sources: ['VSS'], ids: [8193, 12_289], tone: 'bad', shows: 0,
    means: 'the shadow copy service met an error that it did not expect' },
  { sources: ['VSS'], ids: VSS_FAILURES, tone: 'bad', shows: 0,
    means: 'the shadow copy service or one of its writers failed' },
  { sources: ['VSS'], ids: [8219, 8220], tone: 'plain',
    means: 'there was no time to leave files out of the snapshot: it is good, and larger' },
  { sources: ['volsnap'], ids: [8, 9], tone: 'bad',
    means: 'writes could not be held long enough: the snapshot did not take place in quiet' },
  { sources: ['volsnap'], ids: [25, 27, 36], tone: 'bad',
    means: 'Windows gave up a shadow copy: for want of space, or of time under load' },
  { sources: ['volsnap'], ids: [33], tone: 'plain',
    means: 'Windows deleted its oldest shadow copy to make room' },
  { sources: ['EventLog'], ids: [6008], tone: 'plain',
    means: 'Windows found when it started that it had not been shut down properly' },
  { sources: ['Microsoft-Windows-Kernel-Power'], ids: [41], tone: 'plain',
    means: 'Windows started without having been shut down' },
  { sources: ['EventLog'], ids: [6006], tone: 'plain', means: 'Windows was shut down properly' },
  { sources: ['Microsoft-Windows-Kernel-General'], ids: [12], tone: 'plain',
    means: 'Windows started' },
  { sources: ['Ntfs', 'Microsoft-Windows-Ntfs'], ids: [55], tone: 'bad',
    means: 'NTFS found damage in a volume' },
  { sources: ['Ntfs', 'Microsoft-Windows-Ntfs'], ids: [140], tone: 'bad',
    means: 'NTFS could not write its log' },
  { sources: ['Microsoft-Windows-Backup'], ids: [1, 4, 14], tone: 'plain',
    means: 'Windows\' own backup ran' },
  { sources: ['Microsoft-Windows-Backup'], ids: [5, 9], tone: 'plain',
    means: 'Windows\' own backup failed' },
]

/** Said whenever logs of Windows are looked at: the first thing seen after a restore. */
export const SHUTDOWN_NOTE =
  'when this point is restored and started, Windows will say that it was not shut down properly ' +
  '(EventLog 6008, Kernel-Power 41) and may offer a repair. That is expected: the image is of a ' +
  'machine that was running, and nothing ever shut it down. It is harmless: NTFS and the ' +
  'databases replay their logs, as they do after a power cut; what the replay finds is what the ' +
  'grade says.'

export function meaningOf(event: EventRecord): LogMeaning | undefined {
  return LOG_MEANINGS.find(({ sources, ids }) =>
    ids.includes(event.id) && sources.some((name) => isNamed(event, name)))
}

/** All that is worth reading out of a log. */
export const LOG_SOURCES: readonly string[] =
  [...new Set(LOG_MEANINGS.flatMap(({ sources }) => sources))]
