/** Kinds of data without a writer on a Windows, by the names that lie in a folder. */

import { any, DATA_KINDS, locked, type DataKind, type FolderNames } from './data-kinds.ts'

const CLOSE = 'A copy taken while it is open may be damaged: close it on every client for the ' +
  'backup, or have its program make a copy before, which this backup then takes.'
const PLAIN = 'Nobody has it open, so it is as good as any file; a copy taken while it is open ' +
  'may be damaged.'
const AT_REST = 'No service of it runs here: it is at rest, and as good as plain files.'

const files = (pattern: RegExp): DataKind['find'] =>
  ({ files: names }) => [...names].filter((name) => pattern.test(name))

/** Files that have others beside them whose names begin alike and end so. */
const beside = (file: RegExp, ...ends: readonly string[]): DataKind['find'] =>
  ({ files: names }) => ends.flatMap((end) => locked(names, file, end))

/** Those that are the same everywhere; what stands here of the others counts instead. */
const SHARED: ReadonlySet<string> = new Set([
  'Thunderbird profile', 'Firefox profile', 'Chromium profile', 'RocksDB database',
  'LevelDB database', 'LMDB database', 'Berkeley DB environment', 'Lucene index',
])

/** Of these a service may run, which then counts. */
const OF_SERVERS: ReadonlySet<string> = new Set([
  'PostgreSQL data', 'MariaDB or MySQL data', 'MongoDB data', 'SQL Server data', 'Redis data'])

const titled = (titles: ReadonlySet<string>, more: Partial<DataKind> = {}): readonly DataKind[] =>
  DATA_KINDS.filter(({ title }) => titles.has(title)).map((kind) => ({ ...kind, ...more }))

const desktop = (
  title: string, find: DataKind['find'], recovery: DataKind['recovery'] = 'none',
  advice = CLOSE): DataKind => ({ title, find, recovery, advice })

/** The first of its tables stands for all in its folder; those of maps are no application's. */
function tables({ files: names }: FolderNames): readonly string[] {
  if (!any(names, /\.(cdx|fpt|dbc|mdx|ndx|dbt|ntx)$/i) || any(names, /\.shp$/i)) return []
  return [...names].filter((name) => /\.dbf$/i.test(name)).toSorted().slice(0, 1)
}

export const WINDOWS_KINDS: readonly DataKind[] = [
  ...titled(SHARED),
  ...titled(OF_SERVERS, { advice: AT_REST }),
  desktop('Oracle data', ({ files: names }) =>
    any(names, /^system01\.dbf$/i) && any(names, /^control\d+\.ctl$/i) ? ['.'] : [], 'self',
  AT_REST),
  desktop('Access database, open now,', ({ files: names }) => [
    ...locked(names, /\.(accdb|accde)$/i, '.laccdb'), ...locked(names, /\.(mdb|mde)$/i, '.ldb')]),
  desktop('Access database', files(/\.(accdb|accde|mdb|mde)$/i), 'none', PLAIN),
  desktop('Outlook data file', files(/\.pst$/i), 'unknown',
    'Outlook has it open while it runs; a copy taken meanwhile may need scanpst: close Outlook.'),
  desktop('Outlook cache', files(/\.ost$/i), 'self', 'Its server has what is in it.'),
  desktop('QuickBooks company file', files(/\.qbw$/i), 'unknown',
    'Make a backup by QuickBooks itself, and let this one take that.'),
  desktop('FileMaker database', files(/\.(fmp12|fp7)$/i), 'none',
    'Have FileMaker Server make its own backup before, or fmsadmin pause it meanwhile.'),
  desktop('Firebird or InterBase database', files(/\.(fdb|gdb)$/i), 'self',
    'It recovers by itself if its forced writes are on; else gbak or nbackup before the backup.'),
  desktop('Btrieve files', ({ files: names }) => [...names].filter((name) =>
    /\.(btr|mkd)$/i.test(name)).toSorted().slice(0, 1), 'unknown',
  'Its engine has a continuous mode for the time of a backup; or stop it.'),
  desktop('OpenEdge database, open now,', beside(/\.db$/i, '.lk'), 'self',
    'Hold it by proquiet, or have probkup make a copy before.'),
  desktop('Notes database', files(/\.nsf$/i), 'unknown', CLOSE),
  desktop('FoxPro or dBase tables, such as', tables),
  desktop('Paradox tables, open now,', ({ files: names }) =>
    any(names, /^(pdoxusrs|paradox)\.lck$/i)
      ? [...names].filter((name) => /\.db$/i.test(name)).toSorted().slice(0, 1) : []),
  desktop('catalogue of a desktop program', files(/\.(qdf|lrcat|itl)$/i)),
  desktop('disk of a virtual machine', files(/(\.(vdi|vmdk)|^ext4\.vhdx)$/i), 'unknown',
    'Shut it down for the backup: else it is as after a loss of power.'),
  ...titled(new Set(['SQLite database']), {
    advice: 'It is open, or was when its program ended; it recovers by itself, from its log ' +
      'beside it.' }),
]
