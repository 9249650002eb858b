/** The writer of SQLite against databases that a real program has open. */

import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  closeSync, copyFileSync, existsSync, mkdirSync, openSync, readdirSync, renameSync, rmSync,
  statSync, symlinkSync, writeFileSync, writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { systemClock } from '../../base/clock.ts'
import type { PreparedWriter, Writer } from '../../consistency/mod.ts'
import { writerContract } from '../../consistency/testing/mod.ts'
import { FakeHost } from '../testing/fake-process.ts'
import { ServerFolder } from '../testing/server-folder.ts'
import { SqliteApp } from '../testing/sqlite-app.ts'
import { sqliteWriter, type SqliteOptions } from './writer.ts'

const never = new AbortController().signal
/** Far beyond what a busy machine needs. */
const LONG = { freezeMs: 60_000, holdMs: 60_000, thawMs: 60_000, openMs: 60_000 }
const ROLLBACK = 'pragma journal_mode=delete;'

let folder: ServerFolder
before(async () => { folder = await ServerFolder.make('nobody') })
after(() => folder[Symbol.asyncDispose]())

let count = 0
/** In a folder of its own, so that what is made beside it is seen. */
async function app(setup?: string): Promise<SqliteApp> {
  const path = await folder.mkdir(`app${++count}`)
  return SqliteApp.start(folder, join(path, 'it.db'), setup)
}

function writerOf(path: string, options: Partial<SqliteOptions> = {}): Writer {
  return sqliteWriter({
    clock: systemClock, procRoot: folder.procRoot, databases: [path], ...options,
    limits: { ...LONG, ...options.limits } })
}

async function prepare(
  path: string, options: Partial<SqliteOptions> = {}): Promise<PreparedWriter> {
  const writer = writerOf(path, options)
  const [application] = await writer.discover(never)
  assert.ok(application !== undefined)
  return writer.prepare(application, never)
}

/** What lies beside it, with owners and permissions. */
function besides(path: string): Readonly<Record<string, string>> {
  const at = join(path, '..')
  return Object.fromEntries(readdirSync(at).toSorted().map((name) => {
    const { uid, gid, mode } = statSync(join(at, name))
    return [name, `${uid}:${gid} ${mode.toString(8)}`]
  }))
}

for (const [kind, setup] of [['a log', undefined], ['a rollback journal', ROLLBACK]] as const) {
  suite(`SQLite with ${kind}`, () => {
    writerContract(`the writer of SQLite with ${kind}`, async () => {
      const it = await app(setup)
      return {
        writer: writerOf(it.path),
        isHeld: async () => !await it.insert(),
        [Symbol.asyncDispose]: () => it[Symbol.asyncDispose](),
      }
    })

    test('in the hold nobody writes, all read, and no file comes, goes or changes hands',
      async () => {
        await using it = await app(setup)
        assert.equal(await it.insert(), true)
        const before = besides(it.path)
        await using prepared = await prepare(it.path)
        assert.deepEqual(besides(it.path), before)
        const attempt = prepared.beginFreeze()
        const { statement } = await attempt.held
        assert.match(statement, /data_version=\d+, journal_mode=(wal|delete), page_size=4096/)
        assert.equal(await it.insert(), false)
        assert.deepEqual(await it.run('select count(*) from t;'), ['1'])
        const copy = join(it.path, '../../copy.db')
        for (const suffix of ['', '-wal']) {
          if (existsSync(it.path + suffix)) copyFileSync(it.path + suffix, copy + suffix)
        }
        const asked = spawnSync('sqlite3', [copy, 'pragma integrity_check; select count(*) from t'])
        assert.equal(asked.stdout.toString(), 'ok\n1\n')
        const outcome = await attempt.thaw()
        assert.ok(outcome.state === 'thawed' && outcome.heldThroughout, JSON.stringify(outcome))
        assert.equal(await it.insert(), true)
        await prepared.complete(never)
        assert.deepEqual(besides(it.path), before)
      })

    test('a transaction of another delays the freeze, up to its limit', async () => {
      await using it = await app(setup)
      await it.run('begin immediate; insert into t values(1);')
      await using prepared = await prepare(it.path, { limits: { freezeMs: 50 } })
      const attempt = prepared.beginFreeze()
      await assert.rejects(attempt.held, { code: 'writer-timeout' })
      const outcome = await attempt.thaw()
      assert.ok(outcome.state === 'thawed' && !outcome.heldThroughout)
      await it.run('commit;')
      await using patient = await prepare(it.path)
      await it.run('begin immediate; insert into t values(1);')
      const second = patient.beginFreeze()
      await it.run('commit;')
      await second.held
      const held = await second.thaw()
      assert.ok(held.state === 'thawed' && held.heldThroughout)
    })

    test('a file that is deleted or replaced in the hold was not held', async () => {
      for (const change of ['delete', 'replace'] as const) {
        await using it = await app(setup)
        await using prepared = await prepare(it.path)
        const attempt = prepared.beginFreeze()
        await attempt.held
        if (change === 'delete') rmSync(it.path)
        else {
          writeFileSync(`${it.path}.new`, '')
          renameSync(`${it.path}.new`, it.path)
        }
        const outcome = await attempt.thaw()
        assert.ok(outcome.state === 'thawed' && !outcome.heldThroughout)
        assert.match(outcome.statement, /another file, or none, is at its path/)
      }
    })

    test('a lock that is lost in our own process is noticed by what is committed', async () => {
      await using it = await app(setup)
      await using prepared = await prepare(it.path)
      const attempt = prepared.beginFreeze()
      await attempt.held
      closeSync(openSync(setup === undefined ? `${it.path}-shm` : it.path, 'r'))
      assert.equal(await it.insert(), true)
      const outcome = await attempt.thaw()
      assert.ok(outcome.state === 'thawed' && !outcome.heldThroughout)
      assert.match(outcome.statement, /another committed: data_version=/)
    })

    test('a killed agent holds nothing and leaves no file behind', async () => {
      await using it = await app(setup)
      const before = besides(it.path)
      const writer = new URL('./writer.ts', import.meta.url).href
      const clock = new URL('../../base/clock.ts', import.meta.url).href
      const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', `
        import { sqliteWriter } from '${writer}'
        import { systemClock } from '${clock}'
        const never = new AbortController().signal
        const it = sqliteWriter({ clock: systemClock, procRoot: '${folder.procRoot}',
          databases: ['${it.path}'] })
        const [application] = await it.discover(never)
        const prepared = await it.prepare(application, never)
        await prepared.beginFreeze().held
        console.log('frozen')
        setInterval(() => {}, 1000)
      `], { stdio: ['ignore', 'pipe', 'ignore'] })
      await once(child.stdout, 'data')
      assert.equal(await it.insert(), false)
      child.kill('SIGKILL')
      await once(child, 'exit')
      assert.equal(await it.insert(), true)
      assert.deepEqual(besides(it.path), before)
    })
  })
}

suite('databases that cannot be held', () => {
  test('a log that nobody has open is not made', async () => {
    const it = await app()
    await it[Symbol.asyncDispose]()
    const before = besides(it.path)
    assert.deepEqual(Object.keys(before), ['it.db'])
    await assert.rejects(prepare(it.path), /nobody has .* open/)
    assert.deepEqual(besides(it.path), before)
  })

  test('a database that is not there is not made, and one that is none is refused', async () => {
    const at = await folder.mkdir(`none${++count}`)
    writeFileSync(join(at, 'text.db'), 'this is no database, but long enough for a header')
    for (const name of ['missing.db', 'text.db']) {
      const [application] = await writerOf(join(at, name)).discover(never)
      assert.equal(application?.data.state, 'unknown')
      await assert.rejects(prepare(join(at, name)), { code: 'writer-failed' })
    }
    assert.deepEqual(readdirSync(at), ['text.db'])
  })

  test('one that is locked for good is given up before the hold', async () => {
    await using it = await app('pragma locking_mode=exclusive; begin exclusive; commit;')
    await it.run('begin exclusive; insert into t values(1); commit;')
    await assert.rejects(prepare(it.path, { limits: { openMs: 50 } }), { code: 'writer-timeout' })
  })

  test('a damaged one is found where that is asked for', async () => {
    await using it = await app(ROLLBACK)
    await it.run('insert into t select zeroblob(500) from generate_series(1, 200);')
    const bytes = Buffer.alloc(8192, 0xa5)
    const file = openSync(it.path, 'r+')
    writeSync(file, bytes, 0, bytes.length, 8192)
    closeSync(file)
    await (await prepare(it.path)).abort(never)
    await assert.rejects(
      prepare(it.path, { limits: { quickCheckBytes: 1e9 } }), /damaged|refused/)
  })

  test('one is held once at a time, and again afterwards', async () => {
    await using it = await app()
    const writer = writerOf(it.path)
    const [application] = await writer.discover(never)
    assert.ok(application !== undefined)
    const first = await writer.prepare(application, never)
    await assert.rejects(writer.prepare(application, never), /held already/)
    const attempt = first.beginFreeze()
    await attempt.held
    await writer.discover(never) // opens no file that is held
    assert.equal(await it.insert(), false)
    await first.abort(never)
    await (await writer.prepare(application, never)).abort(never)
  })
})

suite('databases of services', () => {
  test('what a service of another account has open is said to be unknown', async () => {
    await using host = await FakeHost.make()
    for (const [pid, group] of [[7, 'system.slice/app.service'], [8, 'user.slice/x']] as const) {
      await host.add({ pid, program: 'app', cwd: host.path })
      writeFileSync(`${host.procRoot}/${pid}/cgroup`, `0::/${group}\n`)
      writeFileSync(`${host.procRoot}/${pid}/fd`, '') // no folder: it cannot be looked through
    }
    await host.add({ pid: 9, program: 'gone', cwd: host.path })
    const writer = sqliteWriter({ clock: systemClock, procRoot: host.procRoot })
    assert.deepEqual(await writer.discover(never), [{
      name: 'sqlite in processes of others', kind: 'protected', recovery: 'unknown',
      data: { state: 'unknown', detail: 'process 7 may not be looked at' } }])
  })

  test('are found by who has them open; a person\'s are not', async () => {
    await using it = await app()
    const found = async (groups: string): Promise<readonly string[]> => {
      await using host = await ServerFolder.make('nobody')
      const proc = join(host.procRoot, String(it.pid))
      mkdirSync(proc)
      symlinkSync(`/proc/${it.pid}/fd`, join(proc, 'fd'))
      symlinkSync('/', join(proc, 'root'))
      writeFileSync(join(proc, 'cgroup'), groups)
      writeFileSync(join(proc, 'stat'), `${it.pid} (a) b) S 1 1 1 34816 1`)
      const writer = sqliteWriter({ clock: systemClock, procRoot: host.procRoot })
      return (await writer.discover(never)).map(({ name }) => name)
    }
    assert.deepEqual(await found('0::/system.slice/app.service\n'), [`sqlite ${it.path}`])
    assert.deepEqual(await found('0::/user.slice/user-1.slice/app.service\n'), [])
    assert.deepEqual(await found('0::/\n'), []) // it has a terminal
  })
})
