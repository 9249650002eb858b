import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { systemClock, type Clock } from '../../base/clock.ts'
import type { DiscoveredApplication } from '../../consistency/mod.ts'
import { PostgresServer } from '../testing/postgres-server.ts'
import { RedisServer } from '../testing/redis-server.ts'
import { ServerFolder } from '../testing/server-folder.ts'
import { SqliteApp } from '../testing/sqlite-app.ts'
import { otherServers } from './other-servers.ts'
import { strayFiles, type StrayFilesOptions } from './stray-files.ts'

const never = new AbortController().signal
const LONG = { lookMs: 600_000 }

let folder = ''
let proc = ''
before(async () => {
  folder = await mkdtemp('/var/tmp/sp-')
  proc = join(folder, 'proc')
  mkdirSync(proc)
  symlinkSync('/proc/self', join(proc, 'self'))
})
after(() => rm(folder, { recursive: true }))

let count = 0
/** A fresh folder with these files, by path and content; those that end in `/` are folders. */
function tree(files: Readonly<Record<string, string | Uint8Array>>): string {
  const root = join(folder, `tree${++count}`)
  mkdirSync(root)
  for (const [name, content] of Object.entries(files)) {
    const path = join(root, name)
    mkdirSync(name.endsWith('/') ? path : dirname(path), { recursive: true })
    if (!name.endsWith('/')) writeFileSync(path, content)
  }
  return root
}

function look(
  root: string, more: Partial<StrayFilesOptions> = {}): Promise<readonly DiscoveredApplication[]> {
  return strayFiles({ clock: systemClock, procRoot: proc, roots: [root], limits: LONG, ...more })
    .discover(never)
}

const names = (found: readonly DiscoveredApplication[], root: string): readonly string[] =>
  found.map(({ name }) => name.replace(root, 'ROOT'))

const WAL = Buffer.from('377f0682', 'hex')

suite('stray files', () => {
  const rows: readonly (readonly [string, Readonly<Record<string, string | Uint8Array>>])[] = [
    ['Access database ROOT/a/Plan.accdb', { 'a/Plan.accdb': '', 'a/plan.LACCDB': '' }],
    ['Access database ROOT/old.mdb', { 'old.mdb': '', 'old.ldb': '' }],
    ['Firefox profile ROOT/p', {
      'p/places.sqlite': '', 'p/places.sqlite-wal': WAL, 'p/storage/x.sqlite': '',
      'p/storage/x.sqlite-wal': WAL }],
    ['Thunderbird profile ROOT/t', { 't/global-messages-db.sqlite': '', 't/places.sqlite': '' }],
    ['Chromium profile ROOT/Default', {
      'Default/Preferences': '', 'Default/History': '', 'Default/l/CURRENT': '',
      'Default/l/MANIFEST-000001': '' }],
    ['LevelDB database ROOT/l', { 'l/CURRENT': '', 'l/MANIFEST-000004': '', 'l/000005.ldb': '' }],
    ['RocksDB database ROOT/r', {
      'r/CURRENT': '', 'r/MANIFEST-000004': '', 'r/OPTIONS-000007': '' }],
    ['LMDB database ROOT/m', { 'm/data.mdb': '', 'm/lock.mdb': '' }],
    ['Berkeley DB environment ROOT/b', { 'b/__db.001': '', 'b/log.0000000001': '' }],
    ['Lucene index ROOT/i', { 'i/segments_1a': '', 'i/write.lock': '' }],
    ['SQLite database ROOT/s.db', { 's.db': '', 's.db-wal': WAL }],
    ['PostgreSQL data ROOT/volumes/db/_data', {
      'volumes/db/_data/PG_VERSION': '15', 'volumes/db/_data/pg_wal/': '' }],
    ['MariaDB or MySQL data ROOT/v', { 'v/ibdata1': '', 'v/mysql/': '' }],
    ['MongoDB data ROOT/v', { 'v/WiredTiger.wt': '' }],
    ['Redis data ROOT/v', { 'v/dump.rdb': '' }],
    ['SQL Server data ROOT/v', { 'v/master.mdf': '', 'v/mastlog.ldf': '' }],
    ['Paradox tables ROOT/x', { 'x/pdoxusrs.lck': '', 'x/KUNDEN.DB': '' }],
    ['QuickBooks company file ROOT/f.qbw', { 'f.qbw': '', 'f.qbw.nd': '' }],
  ]
  for (const [name, files] of rows) {
    test(`knows ${name.replace(/ ROOT.*/, '')} by its files`, async () => {
      const root = tree(files)
      const found = await look(root)
      assert.deepEqual(names(found, root), [name])
      const [{ kind, data, advice = '' } = {} as DiscoveredApplication] = found
      assert.equal(kind, 'incidental')
      assert.equal(data.state, 'located')
      assert.ok(advice.length > 20)
    })
  }

  test('leaves alone what only looks like data', async () => {
    const root = tree({
      'a.accdb': '', 'b.ldb': '', 's.db-wal': WAL, 't.db': '', 't.db-wal': 'text', 'CURRENT': '',
      'u.db': '', 'u.db-journal': '', 'node_modules/x/data.mdb': '',
      'node_modules/x/lock.mdb': '' })
    assert.deepEqual(await look(root), [])
  })

  test('follows no link, opens no pipe or device, and prints no control byte', async () => {
    const elsewhere = tree({ 'x/data.mdb': '', 'x/lock.mdb': '' })
    const root = tree({ 'p.db': '', '\u001b[2J/data.mdb': '', '\u001b[2J/lock.mdb': '' })
    symlinkSync(elsewhere, join(root, 'link'))
    symlinkSync('/dev/zero', join(root, 'p.db-journal'))
    spawnSync('mkfifo', [join(root, 'p.db-wal'), join(root, 'pipe.mdb')])
    const found = await look(root)
    assert.deepEqual(names(found, root), ['LMDB database ROOT/\\x1b[2J'])
  })

  test('are told as one where there are many, and names stay few', async () => {
    const root = tree(Object.fromEntries(Array.from({ length: 500 }, (_, at) =>
      [[`d${at}/data.mdb`, ''], [`d${at}/lock.mdb`, '']]).flat()))
    const found = await look(root)
    assert.equal(found.length, 6)
    assert.equal(found.at(-1)?.name, 'LMDB database: 495 more')
    const { data } = found.at(-1) ?? {}
    assert.equal(data?.state === 'located' ? data.places.length : 0, 256)
  })

  test('beyond a limit are said to be there', async () => {
    const root = tree({
      'a/data.mdb': '', 'a/lock.mdb': '', 'b/c/data.mdb': '', 'b/c/lock.mdb': '', 'b/d/x': '' })
    const within = async (limits: StrayFilesOptions['limits']): Promise<readonly string[]> =>
      names(await look(root, { limits: { ...LONG, ...limits } }), root)
    const cut = 'files that were not looked at'
    assert.deepEqual(await within({}), ['LMDB database ROOT/a', 'LMDB database ROOT/b/c'])
    assert.deepEqual(await within({ depth: 1 }), ['LMDB database ROOT/a', cut])
    assert.deepEqual(await within({ entries: 6 }), ['LMDB database ROOT/a', cut])
    let nowMs = 0
    const clock = { ...systemClock, monotonicMs: () => nowMs += 100 }
    const late = await look(root, { clock, limits: { lookMs: 50 } })
    assert.deepEqual(names(late, root), [cut])
  })

  test('are given up where a file system does not answer', async () => {
    const root = tree({ 'a/data.mdb': '', 'a/lock.mdb': '' })
    // The limit is over as soon as it is set: no look through a folder ends before that.
    const clock: Clock = { ...systemClock, after: (ms, fn) => {
      assert.ok(ms > 600_000)
      fn()
      return { [Symbol.dispose]: () => {} }
    } }
    const found = await look(root, { clock, limits: LONG })
    assert.deepEqual(names(found, root), ['files that were not looked at'])
  })

  test('of real servers that nobody runs here are known', async () => {
    await using host = await ServerFolder.make('postgres')
    {
      await using postgres = await PostgresServer.start(host, 'pg', 5432)
      await using redis = await RedisServer.start(host, 'redis', ['--save', '3600 1'])
      await redis.ask('SET', 'a', 'b')
      await redis.ask('SAVE')
      await postgres.query('select 1')
    }
    const found = await look(host.path)
    assert.deepEqual(names(found, host.path).map((name) => name.replace(/ROOT.*/, '')),
      ['PostgreSQL data ', 'Redis data '])
  })

  test('that a program of a person has open are found wherever they lie', async () => {
    await using host = await ServerFolder.make('nobody')
    const at = await mkdtemp('/var/tmp/sp-open-')
    spawnSync('chmod', ['777', at])
    try {
      await using app = await SqliteApp.start(host, join(at, 'own.db'))
      await app.insert()
      const found = await strayFiles({
        clock: systemClock, procRoot: host.procRoot, roots: [], limits: LONG }).discover(never)
      assert.deepEqual(found.map(({ name }) => name), [`SQLite database ${at}/own.db`])
    } finally {
      rmSync(at, { recursive: true })
    }
  })

  test('an abort ends the look', async () => {
    const finder = strayFiles({ clock: systemClock, procRoot: proc, roots: ['/'] })
    await assert.rejects(finder.discover(AbortSignal.abort()), { code: 'interrupted' })
  })
})

/** A program called `name` that has a file of data open, and how a service manager put it. */
async function serverCalled(name: string, group: string): Promise<
  { procRoot: string; data: string } & AsyncDisposable> {
  const root = tree({ 'data/collection.wt': '', 'proc/': '' })
  const program = join(root, name)
  copyFileSync('/bin/sleep', program)
  const child = spawn('/bin/sh', ['-c', `exec "$0" 1000 3>>${root}/data/collection.wt`, program], {
    stdio: 'ignore' })
  await once(child, 'spawn')
  const entry = join(root, 'proc', String(child.pid))
  mkdirSync(entry)
  symlinkSync('/proc/self', join(root, 'proc/self'))
  for (const file of ['comm', 'cmdline', 'status', 'fd', 'root', 'cwd', 'exe', 'stat']) {
    symlinkSync(`/proc/${child.pid}/${file}`, join(entry, file))
  }
  writeFileSync(join(entry, 'cgroup'), group)
  const comm = (): string => readFileSync(join(entry, 'comm'), 'utf8').trim()
  while (comm() !== name) await systemClock.sleep(5, never) // the shell has become it
  return {
    procRoot: join(root, 'proc'), data: join(root, 'data'),
    [Symbol.asyncDispose]: async () => {
      const gone = once(child, 'exit')
      child.kill('SIGKILL')
      await gone
    },
  }
}

suite('servers without a writer', () => {
  test('are protected as a service, with their data and a way to hold them', async () => {
    await using it = await serverCalled('mongod', '0::/system.slice/mongod.service\n')
    const [found, ...more] = await otherServers(it).discover(never)
    assert.deepEqual(more, [])
    assert.ok(found !== undefined)
    const { name, kind, recovery, data, advice } = found
    assert.deepEqual([name, kind, recovery], [`MongoDB in ${it.data}`, 'protected', 'self'])
    assert.ok(data.state === 'located')
    assert.deepEqual(data.places.map(({ path }) => path), [it.data])
    assert.match(advice ?? '', /script \(db\.fsyncLock/)
  })

  test('are incidental where a person began them', async () => {
    await using it = await serverCalled('mongod', '0::/user.slice/user-1.slice/session-1.scope\n')
    const [found] = await otherServers(it).discover(never)
    assert.deepEqual([found?.kind, found?.name.split(' in ')[0]], ['incidental', 'MongoDB'])
  })

  test('other programs are none', async () => {
    await using it = await serverCalled('mongodump', '0::/system.slice/x.service\n')
    assert.deepEqual(await otherServers(it).discover(never), [])
  })
})
