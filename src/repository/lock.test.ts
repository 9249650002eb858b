import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { isFault } from '../base/fault.ts'
import { silentLog, type Log } from '../base/log.ts'
import { seededRandom } from '../base/random.ts'
import { ManualClock } from '../base/testing/manual-clock.ts'
import type { Storage } from '../storage/mod.ts'
import { openMemoryStorage, recordingStorage } from '../storage/testing/mod.ts'
import { MasterKey } from './format/crypto.ts'
import { goTime } from './format/go-json.ts'
import { acquireLock, removeStaleLocks, type LockContext, type RepositoryLock } from './lock.ts'
import { encodeLockFile, parseLockFile, stalenessOf, type LockFile } from './format/lock-file.ts'
import { thisProcess, type LockHolder } from './lock-holder.ts'
import { writeUnpacked } from './format/unpacked-file.ts'

const signal = new AbortController().signal
const MINUTE = 60_000
const NOW = 1_700_000_000_000

const holder: LockHolder = {
  hostname: 'stillpoint-vault', username: 'root', pid: 100, uid: 0, gid: 0,
  startedAtMs: NOW - 1000, isAlive: (pid) => pid < 1000,
}

interface Scene extends LockContext {
  readonly clock: ManualClock
  readonly storage: Storage
  locks(): Promise<readonly string[]>
  /** Moves time and lets everything that this sets off come to rest. */
  advance(ms: number): Promise<void>
  acquire(kind: 'shared' | 'exclusive', who?: LockHolder): Promise<RepositoryLock>
  writeLock(lock: Partial<LockFile>): Promise<string>
}

async function scene(inner: Storage = openMemoryStorage(), log: Log = silentLog): Promise<Scene> {
  const clock = new ManualClock(NOW)
  const random = seededRandom(1)
  const masterKey = new MasterKey(seededRandom(2)(64))
  await inner.create(signal)
  const context = { storage: inner, masterKey, random, clock, log }
  const locks = async (): Promise<readonly string[]> =>
    (await Array.fromAsync(inner.list('locks', signal))).map((file) => file.name)
  const advance = async (ms: number): Promise<void> => {
    await settle()
    clock.advance(ms)
    await settle()
  }
  return {
    ...context, locks, advance,
    acquire: async (kind, who = holder) => {
      const lock = acquireLock(context, kind, who, signal)
      lock.catch(() => {})
      await advance(200)
      return lock
    },
    writeLock: async (lock) => {
      const json = encodeLockFile({
        time: goTime(NOW), exclusive: false, hostname: 'elsewhere', username: 'me', pid: 7,
        ...lock,
      })
      return writeUnpacked(inner, masterKey, 'locks', json, random, signal)
    },
  }
}

async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await setImmediate()
}

test('a lock is there while it is held and gone when it is disposed', async () => {
  const it = await scene()
  const lock = await it.acquire('shared')
  assert.equal((await it.locks()).length, 1)
  assert.equal(lock.kind, 'shared')
  await lock[Symbol.asyncDispose]()
  await lock[Symbol.asyncDispose]()
  assert.deepEqual(await it.locks(), [])
  assert.equal(lock.lost.aborted, false)
})

test('locks conflict unless both are shared', async () => {
  const other = { ...holder, pid: 200 }
  for (const [first, second, fits] of [
    ['shared', 'shared', true], ['shared', 'exclusive', false],
    ['exclusive', 'shared', false], ['exclusive', 'exclusive', false],
  ] as const) {
    const it = await scene()
    await using _ = await it.acquire(first)
    if (fits) await (await it.acquire(second, other))[Symbol.asyncDispose]()
    else {
      await assert.rejects(it.acquire(second, other), (error) => isFault(error, 'locked'))
      assert.equal((await it.locks()).length, 1)
    }
  }
})

test('two that lock at the same instant do not both get it', async () => {
  const it = await scene()
  const attempts = [100, 200].map((pid) => acquireLock(it, 'exclusive', { ...holder, pid }, signal))
  const outcomes = Promise.allSettled(attempts)
  await it.advance(200)
  const won = (await outcomes).filter((outcome) => outcome.status === 'fulfilled')
  assert.ok(won.length <= 1)
  for (const { value } of won) await value[Symbol.asyncDispose]()
  assert.deepEqual(await it.locks(), [])
})

test('the fault says who holds the lock, where, since when, and what to do', async () => {
  const it = await scene()
  await it.writeLock({ exclusive: true, username: 'ann\u001b[2J', hostname: 'nas', pid: 42 })
  await it.advance(90_000)
  await assert.rejects(it.acquire('shared'), (error) => {
    assert.ok(isFault(error, 'locked') && error.exitCode === 11)
    assert.match(error.message, /exclusively by ann\\x1b\[2J on nas, process 42, .* 1 min 30 s ago/)
    assert.match(error.advice ?? '', /Wait/)
    return true
  })
  await it.advance(30 * MINUTE)
  await assert.rejects(it.acquire('shared'), (error) =>
    isFault(error, 'locked') && /unlock/.test(error.advice ?? ''))
})

test('only a lock of this host can be judged gone', () => {
  const lock: LockFile = {
    time: goTime(NOW), exclusive: false, hostname: 'stillpoint-vault', username: 'root', pid: 100 }
  const table: readonly (readonly [string, Partial<LockFile>, number, string])[] = [
    ['ours', {}, 0, 'live'],
    ['ours, at its limit', {}, 30 * MINUTE, 'live'],
    ['ours, past its limit', {}, 30 * MINUTE + 1, 'gone'],
    ['from before we started, our process id', { time: goTime(NOW - 2000) }, 0, 'gone'],
    ['from before we started, another process', { time: goTime(NOW - 2000), pid: 5 }, 0, 'live'],
    ['a process that ended', { pid: 1000 }, 0, 'gone'],
    ['another host, process unknown', { hostname: 'vault', pid: 1000 }, 0, 'live'],
    ['another host, old', { hostname: 'vault' }, 30 * MINUTE + 1, 'old'],
    ['another host, clock ahead', { hostname: 'vault', time: goTime(NOW + 1e9) }, 0, 'live'],
  ]
  for (const [what, change, laterMs, expected] of table) {
    assert.equal(stalenessOf({ ...lock, ...change }, holder, NOW + laterMs), expected, what)
  }
})

test('a lock left by a crash on this host is removed, an old one of another is not', async () => {
  const it = await scene()
  await it.writeLock({ exclusive: true, hostname: 'stillpoint-vault', pid: 1000 })
  const kept = await it.writeLock({ time: goTime(NOW - 60 * MINUTE) })
  await (await it.acquire('shared'))[Symbol.asyncDispose]()
  assert.deepEqual(await it.locks(), [kept])
})

test('an empty lock file is ignored; one that cannot be read stops everybody', async () => {
  const it = await scene()
  await it.storage.put({ kind: 'locks', name: 'e'.repeat(64) }, [new Uint8Array(0)], signal)
  await (await it.acquire('exclusive'))[Symbol.asyncDispose]()
  await it.storage.put({ kind: 'locks', name: 'f'.repeat(64) }, [new Uint8Array(99)], signal)
  await assert.rejects(it.acquire('shared'), (error) =>
    isFault(error, 'repository-damaged') && /unlock/.test(error.advice ?? ''))
})

test('a held lock is refreshed every 5 minutes: the new file comes, the old goes', async () => {
  const storage = recordingStorage(openMemoryStorage())
  const it = await scene(storage)
  const lock = await it.acquire('shared')
  const [first] = await it.locks()
  for (let minute = 0; minute < 4; minute++) await it.advance(MINUTE)
  assert.deepEqual(await it.locks(), [first])
  await it.advance(MINUTE)
  const [second] = await it.locks()
  assert.notEqual(second, first)
  for (let minute = 0; minute < 60; minute++) await it.advance(MINUTE)
  assert.equal(lock.lost.aborted, false)
  assert.equal((await it.locks()).length, 1)
  const changes = storage.operations.map((operation) => operation.type)
  assert.equal(changes.length, 1 + 2 * 13)
  assert.deepEqual(changes.slice(0, 5), ['put', 'put', 'remove', 'put', 'remove'])
  await lock[Symbol.asyncDispose]()
  assert.deepEqual(await it.locks(), [])
})

test('a lock that cannot be refreshed for 22.5 minutes is lost, and not before', async () => {
  const inner = openMemoryStorage()
  let isDown = false
  const failing: Storage = Object.create(inner, {
    put: { value: async (...args: Parameters<Storage['put']>) => {
      if (isDown) throw new Error('the store is down')
      await inner.put(...args)
    } },
  }) as Storage
  const it = await scene(failing)
  const lock = await it.acquire('shared')
  isDown = true
  for (let minute = 0; minute < 22; minute++) await it.advance(MINUTE)
  assert.equal(lock.lost.aborted, false)
  await it.advance(MINUTE)
  assert.ok(isFault(lock.lost.reason, 'lock-lost'))
  await lock[Symbol.asyncDispose]()
  assert.deepEqual(await it.locks(), [])
})

test('a store that is back in time keeps the lock', async () => {
  const inner = openMemoryStorage()
  let isDown = false
  const failing: Storage = Object.create(inner, {
    put: { value: async (...args: Parameters<Storage['put']>) => {
      if (isDown) throw new Error('the store is down')
      await inner.put(...args)
    } },
  }) as Storage
  const it = await scene(failing)
  await using lock = await it.acquire('shared')
  isDown = true
  for (let minute = 0; minute < 20; minute++) await it.advance(MINUTE)
  isDown = false
  for (let minute = 0; minute < 20; minute++) await it.advance(MINUTE)
  assert.equal(lock.lost.aborted, false)
  assert.equal((await it.locks()).length, 1)
})

test('a host suspended for too long learns within a minute that its lock is lost', async () => {
  const it = await scene()
  let steppedMs = 0
  const clock = Object.create(it.clock, {
    nowMs: { value: () => it.clock.nowMs() + steppedMs },
    monotonicMs: { value: () => it.clock.monotonicMs() },
    after: { value: (ms: number, fn: () => void) => it.clock.after(ms, fn) },
    sleep: { value: (ms: number, s: AbortSignal) => it.clock.sleep(ms, s) },
  }) as ManualClock
  const attempt = acquireLock({ ...it, clock }, 'shared', holder, signal)
  await it.advance(200)
  await using lock = await attempt
  steppedMs = 23 * MINUTE // only the wall clock went on
  await it.advance(MINUTE)
  assert.ok(isFault(lock.lost.reason, 'lock-lost'))
})

test('a lock that somebody else removed is lost', async () => {
  const it = await scene()
  await using lock = await it.acquire('shared')
  for (const name of await it.locks()) await it.storage.remove({ kind: 'locks', name }, signal)
  for (let minute = 0; minute < 5; minute++) await it.advance(MINUTE)
  assert.ok(isFault(lock.lost.reason, 'lock-lost'))
})

test('a shared lock is there at once, and the second look ends it where another came', async () => {
  const it = await scene()
  await using lock = await acquireLock(it, 'shared', holder, signal)
  await it.writeLock({ exclusive: true })
  let confirmed: unknown
  const confirming = lock.confirm(signal).catch((error: unknown) => { confirmed = error })
  await it.advance(199)
  assert.deepEqual([confirmed, lock.lost.aborted], [undefined, false])
  await it.advance(1)
  await confirming
  assert.ok(isFault(confirmed, 'locked') && confirmed === lock.lost.reason)
})

test('what counts on a shared lock waits for the second look, and then goes on', async () => {
  const it = await scene()
  await using lock = await acquireLock(it, 'shared', holder, signal)
  let isConfirmed = false
  const confirming = lock.confirm(signal).then(() => { isConfirmed = true })
  await it.advance(199)
  assert.equal(isConfirmed, false)
  await it.advance(1)
  await confirming
  await lock.confirm(signal)
})

test('a shared lock disposed before the second look is gone, and looks no more', async () => {
  const it = await scene()
  const lock = await acquireLock(it, 'shared', holder, signal)
  await it.writeLock({ exclusive: true })
  await lock[Symbol.asyncDispose]()
  await it.advance(1000)
  assert.equal(lock.lost.aborted, false)
  assert.equal((await it.locks()).length, 1)
})

test('an abort while waiting for the second look leaves no lock', async () => {
  const it = await scene()
  const controller = new AbortController()
  const attempt = acquireLock(it, 'exclusive', holder, controller.signal)
  attempt.catch(() => {})
  await settle()
  assert.equal((await it.locks()).length, 1)
  controller.abort()
  await assert.rejects(attempt, (error) => isFault(error, 'interrupted'))
  assert.deepEqual(await it.locks(), [])
})

test('a lock whose put fails after it took effect is removed all the same', async () => {
  const inner = openMemoryStorage()
  const unsure: Storage = Object.create(inner, {
    put: { value: async (...args: Parameters<Storage['put']>) => {
      await inner.put(...args)
      throw new Error('the connection broke before the answer')
    } },
  }) as Storage
  const it = await scene(unsure)
  await assert.rejects(it.acquire('shared'), /connection broke/)
  assert.deepEqual(await it.locks(), [])
})

test('a release that fails is reported, not thrown', async () => {
  const events: string[] = []
  const inner = openMemoryStorage()
  const stuck: Storage = Object.create(inner, {
    remove: { value: () => Promise.reject(new Error('denied')) } }) as Storage
  const log: Log = { ...silentLog, warn: (event) => events.push(event) }
  const it = await scene(stuck, log)
  await (await it.acquire('shared'))[Symbol.asyncDispose]()
  assert.deepEqual(events, ['repository.lock-left'])
})

test('unlock removes stale locks, or all of them if told so', async () => {
  const it = await scene()
  const live = await it.writeLock({})
  await it.writeLock({ time: goTime(NOW - 31 * MINUTE) })
  await it.writeLock({ hostname: 'stillpoint-vault', pid: 1000 })
  await it.storage.put({ kind: 'locks', name: 'e'.repeat(64) }, [new Uint8Array(0)], signal)
  assert.equal(await removeStaleLocks(it, holder, false, signal), 3)
  assert.deepEqual(await it.locks(), [live])
  assert.equal(await removeStaleLocks(it, holder, true, signal), 1)
  assert.deepEqual(await it.locks(), [])
})

test('a lock file is read as it was written, in the bytes of restic', () => {
  const lock: LockFile = {
    time: goTime(NOW), exclusive: true, hostname: 'h', username: 'u', pid: 7, uid: 1, gid: 2 }
  const json = encodeLockFile(lock)
  assert.equal(Buffer.from(json).toString(), '{"time":"2023-11-14T22:13:20Z","exclusive":true,' +
    '"hostname":"h","username":"u","pid":7,"uid":1,"gid":2}')
  assert.deepEqual(parseLockFile(json, 'it'), lock)
  for (const bad of ['{}', '[]', '{"time":"x"}', Buffer.from(json).toString().replace('7', '-7')]) {
    assert.throws(() => parseLockFile(Buffer.from(bad), 'it'), (error) =>
      isFault(error, 'repository-damaged'), bad)
  }
})

test('this process lives, under a host name that restic does not take for its own', () => {
  const clock = new ManualClock()
  const self = thisProcess('vault', 'root', clock)
  assert.equal(self.hostname, 'stillpoint-vault')
  assert.ok(self.isAlive(self.pid) && !self.isAlive(0) && !self.isAlive(-1))
  assert.ok(!self.isAlive(0x7fff_fff0))
  assert.ok(self.startedAtMs <= clock.nowMs())
})
