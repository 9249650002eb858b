import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isFault, type FaultCode } from '../base/fault.ts'
import { silentLog } from '../base/log.ts'
import { seededRandom } from '../base/random.ts'
import { Secret } from '../base/secret.ts'
import { ManualClock } from '../base/testing/manual-clock.ts'
import type { Storage } from '../storage/mod.ts'
import { faultyStorage, openMemoryStorage } from '../storage/testing/mod.ts'
import { encodeConfig, newConfig } from './format/config.ts'
import { fileIdOf } from './format/id.ts'
import { initRepository, openRepository } from './open.ts'
import type { InitOptions } from './repository.ts'
import { flipBit, makeSmallRepository } from './testing/small-repository.ts'

const signal = new AbortController().signal
const CONFIG = { kind: 'config', name: 'config' } as const
const password = new Secret<string>('a pass word')
const options: InitOptions = {
  password, hostname: 'vault', username: 'root', clock: new ManualClock(), random: seededRandom(1),
  scryptCost: { N: 2, r: 1, p: 1 },
}
const open = (storage: Storage, secret = password): ReturnType<typeof openRepository> =>
  openRepository(storage, { ...options, password: secret, log: silentLog }, signal)
const fault = (code: FaultCode, text = /./) => (error: unknown): boolean =>
  isFault(error, code) && text.test(error.message)

test('a repository that was made opens with its password and is empty', async () => {
  await using storage = openMemoryStorage()
  const { id } = await initRepository(storage, options, signal)
  await using repository = await open(storage)
  assert.equal(repository.id, id)
  await repository.loadIndex(signal)
  assert.deepEqual(await repository.snapshots(signal), [])
  assert.equal(repository.index.size, 0)
})

test('where nothing is, there is no repository, and a wrong password is called that', async () => {
  await using storage = openMemoryStorage()
  await assert.rejects(open(storage), fault('no-repository'))
  await storage.create(signal)
  await assert.rejects(open(storage), fault('no-repository'))
  await initRepository(storage, options, signal)
  await assert.rejects(open(storage, new Secret('another')), fault('wrong-password'))
})

test('a repository is never made over another, and the other stays as it is', async () => {
  await using storage = openMemoryStorage()
  const { id } = await initRepository(storage, options, signal)
  await assert.rejects(initRepository(storage, options, signal), fault('repository-exists'))
  await storage.remove(CONFIG, signal) // its keys alone are still somebody's
  await assert.rejects(
    initRepository(storage, options, signal), fault('repository-exists', /keys/))
  assert.match(id, /^[0-9a-f]{64}$/)
})

test('a failed attempt leaves nothing that hinders the next one', async () => {
  await using inner = openMemoryStorage()
  const full: Storage = Object.create(inner, {
    put: { value: async (...args: Parameters<Storage['put']>) => {
      if (args[0].kind === 'config') throw new Error('full')
      await inner.put(...args)
    } },
  }) as Storage
  await assert.rejects(initRepository(full, options, signal), /full/)
  assert.deepEqual(await Array.fromAsync(inner.list('keys', signal)), [])
  await initRepository(inner, options, signal)
})

test('a config that was stored although its put failed makes a repository', async () => {
  await using inner = openMemoryStorage()
  const unsure: Storage = Object.create(inner, {
    put: { value: async (...args: Parameters<Storage['put']>) => {
      await inner.put(...args)
      if (args[0].kind === 'config') throw new Error('the connection broke')
    } },
  }) as Storage
  const { id } = await initRepository(unsure, options, signal)
  assert.equal((await open(inner)).id, id)
})

test('whatever a store does to the making, what it leaves opens or can be made again', async () => {
  for (let seed = 0; seed < 40; seed++) {
    await using inner = openMemoryStorage()
    const plan = { seed, errorRate: 0.2, unknownRate: 0.2 }
    const made = await initRepository(faultyStorage(inner, plan), options, signal)
      .then(() => true, () => false)
    const found = await open(inner).then((repository) => repository.id, (error: unknown) => error)
    if (made) assert.equal(typeof found, 'string', `seed ${seed}: ${String(found)}`)
    else assert.ok(typeof found === 'string' || isFault(found, 'no-repository'))
  }
})

test('one usable key among damaged and hostile ones is enough', async () => {
  await using storage = openMemoryStorage()
  const { id } = await initRepository(storage, options, signal)
  const hostile = Buffer.from('{"kdf":"scrypt","N":1099511627776,"r":8,"p":1}')
  await storage.put({ kind: 'keys', name: '0'.repeat(64) }, [Buffer.from('junk')], signal)
  await storage.put({ kind: 'keys', name: fileIdOf(hostile) }, [hostile], signal)
  await storage.put({ kind: 'keys', name: '1'.repeat(64) }, [new Uint8Array(1e6)], signal)
  for (let i = 1; i <= 40; i++) {
    const name = i.toString().padStart(64, '0')
    await storage.put({ kind: 'keys', name }, [Buffer.from('more junk')], signal)
  }
  assert.equal((await open(storage)).id, id)
  await assert.rejects(open(storage, new Secret('another')), fault('wrong-password'))
})

test('a repository without a usable key is damaged, which no password cures', async () => {
  const small = await makeSmallRepository()
  const [key = ''] = await small.names('keys')
  await small.change('keys', key, flipBit(40))
  await assert.rejects(small.reopen(), fault('repository-damaged', /key/))
  await small.change('keys', key, () => undefined)
  await assert.rejects(small.reopen(), fault('repository-damaged', /key/))
})

test('a damaged config is damaged, and another version unsupported', async () => {
  const small = await makeSmallRepository()
  await small.change('config', 'config', flipBit(20))
  await assert.rejects(small.reopen(), fault('repository-damaged', /config/))
  await small.change('config', 'config', () => new Uint8Array(0))
  await assert.rejects(small.reopen(), fault('repository-damaged', /config/))
  const { masterKey } = small.repository
  const random = seededRandom(3)
  const json = Buffer.from(encodeConfig(newConfig(random))).toString()
  const replaceWith = (text: string): Promise<void> =>
    small.change('config', 'config', () => masterKey.seal(Buffer.from(text), random))
  await replaceWith(json.replace('"version":2', '"version":1'))
  await assert.rejects(small.reopen(), fault('repository-unsupported', /version 1/))
  await replaceWith(json.replace('"version":2', '"version":2,"future":[1]'))
  await small.reopen()
})
