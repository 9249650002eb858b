import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Fault, isFault } from '../../base/fault.ts'
import { silentLog } from '../../base/log.ts'
import { seededRandom } from '../../base/random.ts'
import { ManualClock } from '../../base/testing/manual-clock.ts'
import type { Storage } from '../../storage/mod.ts'
import { openMemoryStorage } from '../../storage/testing/mod.ts'
import { MasterKey } from '../format/crypto.ts'
import type { RepositoryLock } from '../lock.ts'
import { writeConfirmed } from './confirmed-write.ts'

const signal = new AbortController().signal

/** A lock that is lost as soon as it is told to be. */
function fragileLock(): { readonly lock: RepositoryLock; readonly lose: () => void } {
  const lost = new AbortController()
  return {
    lose: (): void => lost.abort(new Fault('lock-lost', 'it is lost')),
    lock: {
      kind: 'shared', lost: lost.signal,
      confirm: async () => lost.signal.throwIfAborted(),
      [Symbol.asyncDispose]: async () => {},
    },
  }
}

interface Written {
  readonly error: unknown
  readonly files: readonly string[]
}

/** Writes an index file; `during` is called while it is being stored. */
async function write(
  lock: RepositoryLock | undefined, during: () => void, changes: Partial<Storage> = {},
): Promise<Written> {
  const inner = openMemoryStorage()
  const storage: Storage = {
    ...inner,
    put: async (file, parts, by) => {
      during()
      await inner.put(file, parts, by)
    },
    ...changes,
  }
  const context = {
    storage, masterKey: new MasterKey(seededRandom(2)(64)), random: seededRandom(1),
    clock: new ManualClock(), log: silentLog,
  }
  const writing = writeConfirmed(context, lock, 'index', Buffer.from('{}'), signal)
  const error: unknown = await writing.then(() => undefined, (error: unknown) => error)
  const files = (await Array.fromAsync(inner.list('index', signal))).map(({ name }) => name)
  return { error, files }
}

test('what is written under a lock that holds stays, and without a lock too', async () => {
  for (const lock of [fragileLock().lock, undefined]) {
    const { error, files } = await write(lock, () => {})
    assert.deepEqual([error, files.length], [undefined, 1])
  }
})

test('nothing is written once the lock is lost', async () => {
  const { lock, lose } = fragileLock()
  lose()
  const { error, files } = await write(lock, () => assert.fail('it was written'))
  assert.ok(isFault(error, 'lock-lost'))
  assert.deepEqual(files, [])
})

test('what was on its way when the lock was lost is taken back', async () => {
  const { lock, lose } = fragileLock()
  const { error, files } = await write(lock, lose)
  assert.ok(isFault(error, 'lock-lost'))
  assert.deepEqual(files, [])
})

test('what cannot be taken back is left, and the first fault is told', async () => {
  const { lock, lose } = fragileLock()
  const remove = (): Promise<void> => Promise.reject(new Fault('storage-failed', 'denied'))
  const { error, files } = await write(lock, lose, { remove })
  assert.ok(isFault(error, 'lock-lost'))
  assert.equal(files.length, 1)
})
