/** Kinds of data that programs leave in a folder, known by the names that lie in it. */

import type { DiscoveredApplication } from '../../consistency/mod.ts'

export interface FolderNames {
  readonly files: ReadonlySet<string>
  readonly folders: ReadonlySet<string>
  /** Of the files, those that a process has open. */
  readonly open: ReadonlySet<string>
}

export interface DataKind {
  readonly title: string
  readonly recovery: DiscoveredApplication['recovery']
  readonly advice: string
  /** Names of the files that are one each; `.` for the folder itself. */
  readonly find: (names: FolderNames) => readonly string[]
  /** A file beside it (by its name) that must begin with one of these bytes, in hexadecimal. */
  readonly sign?: { readonly suffixes: readonly string[]; readonly begins: readonly string[] }
}

const SELF = 'It recovers by itself. To have it held, run it as a service or name it in a script.'
const AT_REST = 'No running server of it was found here: if it runs in a container, run an agent ' +
  'in there; else it is at rest, and as good as plain files.'

/** The folder itself, if `is` says so. */
const folder = (is: (names: FolderNames) => boolean): DataKind['find'] =>
  (names) => is(names) ? ['.'] : []

/** Files with a `NAME.lock` beside `NAME.ext`; case does not count. */
export function locked(files: FolderNames['files'], file: RegExp, lock: string): readonly string[] {
  const candidates = [...files].filter((name) => file.test(name))
  if (candidates.length === 0) return []
  const lower = new Set([...files].map((name) => name.toLowerCase()))
  return candidates.filter((name) => lower.has(name.toLowerCase().replace(/\.[^.]*$/, lock)))
}

const open = (file: RegExp): DataKind['find'] =>
  ({ open: names }) => [...names].filter((name) => file.test(name))

export const any = (names: ReadonlySet<string>, pattern: RegExp): boolean =>
  [...names].some((name) => pattern.test(name))

/** What is found within another's folder is part of it: the first of a folder counts. */
export const DATA_KINDS: readonly DataKind[] = [
  {
    title: 'Thunderbird profile', recovery: 'self', advice: SELF,
    find: folder(({ files }) => files.has('global-messages-db.sqlite')),
  },
  {
    title: 'Firefox profile', recovery: 'self', advice: SELF,
    find: folder(({ files }) => files.has('places.sqlite')),
  },
  {
    title: 'Chromium profile', recovery: 'self', advice: SELF,
    find: folder(({ files }) => files.has('Preferences') &&
      (files.has('History') || files.has('Cookies') || files.has('Login Data'))),
  },
  {
    title: 'PostgreSQL data', recovery: 'self', advice: AT_REST,
    find: folder(({ files, folders }) => files.has('PG_VERSION') && folders.has('pg_wal')),
  },
  {
    title: 'MariaDB or MySQL data', recovery: 'self', advice: AT_REST,
    find: folder(({ files, folders }) => files.has('ibdata1') && folders.has('mysql')),
  },
  {
    title: 'MongoDB data', recovery: 'self', advice: AT_REST,
    find: folder(({ files }) => files.has('WiredTiger.wt') || files.has('storage.bson')),
  },
  {
    title: 'SQL Server data', recovery: 'self', advice: AT_REST,
    find: folder(({ files }) => files.has('master.mdf') && files.has('mastlog.ldf')),
  },
  {
    title: 'Redis data', recovery: 'self', advice: AT_REST,
    find: folder(({ files, folders }) => files.has('dump.rdb') || folders.has('appendonlydir')),
  },
  {
    title: 'Access database', recovery: 'none',
    advice: 'It is open. A copy taken meanwhile may be damaged: close it on every client before ' +
      'the backup, or move its tables to a server.',
    find: ({ files }) => [
      ...locked(files, /\.(accdb|accde)$/i, '.laccdb'), ...locked(files, /\.(mdb|mde)$/i, '.ldb'),
    ],
  },
  {
    title: 'Paradox tables', recovery: 'none',
    advice: 'A copy taken while they are open may be damaged: close their programs.',
    find: folder(({ files }) => any(files, /^(pdoxusrs|paradox)\.lck$/i) && any(files, /\.db$/i)),
  },
  {
    title: 'QuickBooks company file', recovery: 'unknown',
    advice: 'Make a backup by QuickBooks itself, and let this one take that.',
    find: ({ files }) => [...files].filter((name) => /\.qbw$/i.test(name) &&
      (files.has(`${name}.nd`) || files.has(`${name}.tlg`) || files.has(`${name}.lgb`))),
  },
  {
    title: 'database file of a desktop program', recovery: 'none',
    advice: 'It is open, and its program cannot be told to hold still: close it for the backup.',
    find: open(/\.(accdb|mdb|dbf|fdb|gdb|fmp12|pst|btr|mkd)$/i),
  },
  {
    title: 'RocksDB database', recovery: 'self', advice: SELF,
    find: folder((names) => isLevel(names) && any(names.files, /^OPTIONS-\d{6}$/)),
  },
  { title: 'LevelDB database', recovery: 'self', advice: SELF, find: folder(isLevel) },
  {
    title: 'LMDB database', recovery: 'self', advice: SELF,
    find: folder(({ files }) => files.has('data.mdb') && files.has('lock.mdb')),
  },
  {
    title: 'Berkeley DB environment', recovery: 'unknown',
    advice: 'After a restore, run db_recover in it before its program.',
    find: folder(({ files }) => any(files, /^__db\.\d{3}$/) && any(files, /^log\.\d{10}$/)),
  },
  {
    title: 'Lucene index', recovery: 'self', advice: SELF,
    find: folder(({ files }) => any(files, /^segments_[0-9a-z]+$/) && files.has('write.lock')),
  },
  {
    title: 'SQLite database', recovery: 'self',
    advice: 'It recovers by itself, from its log beside it. To have it held, name it under ' +
      'sqlite: databases in the configuration of the agent.',
    find: ({ files }) => [...files].filter((name) =>
      files.has(`${name}-wal`) || files.has(`${name}-journal`)),
    // "Database File Format" of SQLite, 3 and 4.1. The database itself must not be opened: closing
    // it would take away the locks of one that is held.
    sign: { suffixes: ['-wal', '-journal'], begins: ['377f0682', '377f0683', 'd9d505f9'] },
  },
]

/** LevelDB and what descends from it ("leveldb File format"). */
function isLevel({ files }: FolderNames): boolean {
  return files.has('CURRENT') && any(files, /^MANIFEST-\d{6}$/)
}

/** A file whose being open makes its folder worth a look. */
export function isTelling(file: string): boolean {
  return /-(wal|shm|journal)$/.test(file) || /^(LOCK|write\.lock|lock\.mdb)$/.test(file) ||
    /\.(l?accdb|mdb|ldb|dbf|fdb|gdb|fmp12|pst|btr|mkd|qbw|lck|sst|wt)$/i.test(file)
}
