import assert from 'node:assert/strict'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { systemClock } from '../../base/clock.ts'
import type { FoundData, RunningService } from '../../consistency/mod.ts'
import { windowsData, type WindowsDataOptions } from './windows-data.ts'

const never = new AbortController().signal
const LONG = { lookMs: 600_000 }

let folder = ''
before(async () => { folder = await mkdtemp(join(tmpdir(), 'windows-')) })
after(() => rm(folder, { recursive: true }))

let count = 0
/** A volume with these files, by path; those that end in `/` are folders. */
function volume(...files: readonly string[]): string {
  const root = join(folder, `volume${++count}`)
  mkdirSync(root)
  for (const name of files) {
    const path = join(root, name)
    mkdirSync(name.endsWith('/') ? path : dirname(path), { recursive: true })
    if (!name.endsWith('/')) writeFileSync(path, name.endsWith('-wal') ? WAL : '')
  }
  return root
}

const WAL = Buffer.from('377f0682', 'hex')

function find(
  root: string, services: readonly RunningService[] | { readonly unknown: string } = [],
  limits: WindowsDataOptions['limits'] = LONG, roots: readonly string[] = [root],
): Promise<readonly FoundData[]> {
  return windowsData({ clock: systemClock, limits })(
    { roots, systemFolder: join(root, 'Windows'), services }, never)
}

const shown = (found: readonly FoundData[], root: string): readonly string[] =>
  found.map(({ name, kind }) => `${kind === 'protected' ? '! ' : ''}${name.replace(root, 'C:')}`)

suite('data without a writer on a Windows', () => {
  const rows: readonly (readonly [string, readonly string[]])[] = [
    ['Access database, open now, C:/a/Orders.accdb', ['a/Orders.accdb', 'a/ORDERS.laccdb']],
    ['Access database, open now, C:/old.mdb', ['old.mdb', 'old.ldb']],
    ['Access database C:/a/Plan.accdb', ['a/Plan.accdb', 'a/other.laccdb']],
    ['Outlook data file C:/Users/u/Documents/Outlook Files/archive.PST',
      ['Users/u/Documents/Outlook Files/archive.PST']],
    ['Outlook cache C:/u.ost', ['u.ost']],
    ['PostgreSQL data C:/Program Files/PostgreSQL/16/data', [
      'Program Files/PostgreSQL/16/data/PG_VERSION',
      'Program Files/PostgreSQL/16/data/pg_wal/']],
    ['MariaDB or MySQL data C:/ProgramData/MySQL/Data', [
      'ProgramData/MySQL/Data/ibdata1', 'ProgramData/MySQL/Data/mysql/']],
    ['Oracle data C:/ora', ['ora/SYSTEM01.DBF', 'ora/CONTROL01.CTL']],
    ['Firebird or InterBase database C:/f.fdb', ['f.fdb']],
    ['SQLite database C:/s.db', ['s.db', 's.db-wal']],
    ['QuickBooks company file C:/Firm.QBW', ['Firm.QBW', 'Firm.QBW.nd']],
    ['FileMaker database C:/x.fmp12', ['x.fmp12']],
    ['Paradox tables, open now, C:/p/a.DB', ['p/a.DB', 'p/b.DB', 'p/PDOXUSRS.LCK']],
    ['FoxPro or dBase tables, such as C:/d/KUNDEN.DBF', [
      'd/KUNDEN.DBF', 'd/KUNDEN.CDX', 'd/ORTE.DBF']],
    ['Btrieve files C:/b/1.btr', ['b/1.btr', 'b/2.btr']],
    ['OpenEdge database, open now, C:/sports.db', ['sports.db', 'sports.lk']],
    ['Notes database C:/mail.nsf', ['mail.nsf']],
    ['disk of a virtual machine C:/vm/x.vdi', ['vm/x.vdi']],
    ['Firefox profile C:/p', ['p/places.sqlite', 'p/x.sqlite', 'p/x.sqlite-wal']],
  ]
  for (const [name, files] of rows) {
    test(`knows ${name.replace(/,? C:.*/, '')} by ${files[0]}`, async () => {
      const root = volume(...files)
      const found = await find(root)
      assert.deepEqual(shown(found, root), [name])
      assert.ok((found[0]?.advice.length ?? 0) > 20)
    })
  }

  test('is not looked for where Windows keeps its own, nor taken from what looks like it',
    async () => {
      const root = volume('Windows/x.mdb', '$Recycle.Bin/x.mdb', 'ProgramData/Microsoft/x.mdb',
        'Users/u/AppData/Local/Temp/x.mdb', 'maps/a.dbf', 'maps/a.shp', 'maps/a.cdx', 'a.dbf',
        't.db', 'node_modules/x.mdb', 'plain.db')
      assert.deepEqual(await find(root), [])
    })

  test('is not looked for behind links', async () => {
    const elsewhere = volume('x.mdb')
    const root = volume('a/')
    symlinkSync(elsewhere, join(root, 'a', 'junction'))
    symlinkSync(elsewhere, join(folder, 'mounted'))
    assert.deepEqual(await find(root, [], LONG, [root, join(folder, 'mounted')]), [])
  })

  test('is told as far as the limits reach, and that they were reached', async () => {
    const root = volume('a.mdb', 'b/c/d.mdb')
    const within = async (limits: WindowsDataOptions['limits']): Promise<readonly string[]> =>
      shown(await find(root, [], { ...LONG, ...limits }), root)
    assert.deepEqual(await within({ depth: 1 }),
      ['Access database C:/a.mdb', 'files that were not looked at'])
    assert.deepEqual(await within({ entries: 0 }), ['files that were not looked at'])
    const many = volume(...Array.from({ length: 9 }, (_, at) => `${at}.pst`))
    assert.equal((await find(many)).at(-1)?.name, 'Outlook data file: 4 more')
  })
})

suite('servers on a Windows', () => {
  const service = (name: string, command: string): RunningService => ({ name, command })

  test('are protected with their data, which counts only once', async () => {
    const root = volume('pg/data/PG_VERSION', 'pg/data/pg_wal/', 'my/ibdata1', 'my/mysql/', 'a.mdb')
    const found = await find(root, [
      service('postgresql-x64-16', '"C:\\pg\\bin\\pg_ctl.exe" runservice -N "pg" -D "E:\\pg 2" -w'),
      service('MySQL80', '"C:\\my\\mysqld.exe" --defaults-file="C:\\my.ini" MySQL80'),
      service('Spooler', 'C:\\Windows\\System32\\spoolsv.exe')])
    assert.deepEqual(shown(found, root), ['! PostgreSQL (service postgresql-x64-16)',
      '! MariaDB or MySQL (service MySQL80)', 'Access database C:/a.mdb'])
    assert.deepEqual(found.map(({ paths }) => paths), [
      ['E:\\pg 2', join(root, 'pg/data')], [join(root, 'my')], [join(root, 'a.mdb')]])
  })

  test('that have a writer name it', async () => {
    const rows = [
      ['MSSQL$A', '"C:\\sql\\sqlservr.exe" -sA', 'SqlServerWriter'],
      ['MSSQL$MICROSOFT##WID', 'C:\\wid\\sqlservr.exe -sWID', 'WIDWriter'],
      ['OracleServiceXE', 'c:\\ora\\bin\\ORACLE.EXE XE', 'Oracle VSS Writer'],
      ['NTDS', 'C:\\Windows\\System32\\lsass.exe', 'NTDS'],
      ['vmms', 'C:\\Windows\\system32\\vmms.exe', 'Microsoft Hyper-V VSS Writer'],
      ['MongoDB', '"C:\\m\\mongod.exe" --service', undefined],
      ['fb', 'C:\\fb\\firebird.exe -s', undefined],
    ] as const
    for (const [name, command, writer] of rows) {
      const [found] = await find(volume(), [service(name, command)])
      assert.deepEqual([found?.kind, found?.heldBy, found?.paths], ['protected', writer, []], name)
    }
  })

  test('that cannot be told are not taken for absent', async () => {
    const [found] = await find(volume(), { unknown: 'denied' })
    assert.deepEqual([found?.kind, found?.name],
      ['protected', 'servers without a writer, if there are any'])
    assert.match(found?.advice ?? '', /denied/)
  })
})
