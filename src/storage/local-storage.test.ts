import { strict as assert } from 'node:assert'
import { mkdir, mkdtemp, readdir, rename, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { openLocalStorage } from './local-storage.ts'
import { storageFault } from './local-faults.ts'
import type { Storage, StorageFile } from './storage.ts'
import { storageContract } from './testing/mod.ts'

const signal = new AbortController().signal
const id = `4f${'0a'.repeat(31)}`
const pack: StorageFile = { kind: 'data', name: id }

const folders: string[] = []
after(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true }))))

/** A store in a folder that goes away with the tests. */
async function openTemporary(): Promise<Storage> {
  const folder = await mkdtemp(join(tmpdir(), 'stillpoint-storage-'))
  folders.push(folder)
  return openLocalStorage(join(folder, 'repo'))
}

const listed = async (storage: Storage): Promise<[string, number][]> =>
  Array.fromAsync(storage.list('data', signal), ({ name, sizeBytes }) => [name, sizeBytes])

storageContract('local', openTemporary)

test('files are 0400 in folders 0700, and no temporary file stays', async () => {
  await using storage = await openTemporary()
  await storage.create(signal)
  await storage.put(pack, [Buffer.from('abc')], signal)
  const folder = join(storage.location, 'data', '4f')
  assert.deepEqual(await readdir(folder), [id])
  assert.equal((await stat(join(folder, id))).mode & 0o777, 0o400)
  assert.equal((await stat(folder)).mode & 0o777, 0o700)
  assert.equal((await stat(storage.location)).mode & 0o777, 0o700)
})

test('a put that is aborted half way leaves no file behind', async () => {
  await using storage = await openTemporary()
  await storage.create(signal)
  const abort = new AbortController()
  const part = new Uint8Array(1024)
  const parts = new Proxy([part, part, part], {
    get: (array, key) => {
      if (key === '2') abort.abort()
      return Reflect.get(array, key)
    },
  })
  await assert.rejects(storage.put(pack, parts, abort.signal), { code: 'interrupted' })
  assert.deepEqual(await readdir(join(storage.location, 'data', '4f')), [])
})

test('foreign names are not listed', async () => {
  await using storage = await openTemporary()
  await storage.create(signal)
  const folder = join(storage.location, 'data', '4f')
  await writeFile(join(folder, '.tmp-0011223344556677'), 'x')
  await writeFile(join(folder, 'README'), 'x')
  await writeFile(join(folder, `${id}-tmp-17`), 'x')
  await mkdir(join(folder, id))
  // A pack in another folder than its own is found by nobody who asks for it.
  await writeFile(join(storage.location, 'data', '50', id), 'x')
  assert.deepEqual(await listed(storage), [])
  await storage.put({ ...pack, name: id.replace('4f', '51') }, [Buffer.from('abc')], signal)
  assert.deepEqual(await listed(storage), [[id.replace('4f', '51'), 3]])
})

test('links that lead out of the store are refused', async () => {
  await using storage = await openTemporary()
  await storage.create(signal)
  const outside = join(storage.location, '..', 'outside')
  await mkdir(outside)
  await writeFile(join(outside, id), 'secret')
  await symlink(join(outside, id), join(storage.location, 'index', id))
  await assert.rejects(storage.get({ kind: 'index', name: id }, {}, signal),
    { code: 'storage-failed' })
  await rm(join(storage.location, 'data', '4f'), { recursive: true })
  await symlink(outside, join(storage.location, 'data', '4f'))
  await assert.rejects(storage.get(pack, {}, signal), { code: 'storage-failed' })
  await assert.rejects(listed(storage), { code: 'storage-failed' })
  await assert.rejects(storage.put(pack, [Buffer.from('x')], signal), { code: 'storage-failed' })
  await assert.rejects(storage.remove(pack, signal), { code: 'storage-failed' })
  assert.deepEqual(await readdir(outside), [id])
})

test('folders may be links within the store', async () => {
  await using storage = await openTemporary()
  await storage.create(signal)
  const [shard, elsewhere] = [join(storage.location, 'data', '4f'), join(storage.location, 'old')]
  await rename(shard, elsewhere)
  await symlink(elsewhere, shard)
  await storage.put(pack, [Buffer.from('abc')], signal)
  assert.deepEqual(await listed(storage), [[id, 3]])
})

test('a store that is not there is a fault and never an empty list', async () => {
  const storage = openLocalStorage('/nonexistent/repo')
  const listing = storage.list('snapshots', signal)[Symbol.asyncIterator]()
  await assert.rejects(listing.next(), { code: 'storage-failed' })
  await assert.rejects(storage.put(pack, [], signal), { code: 'storage-failed' })
  await assert.rejects(storage.get(pack, {}, signal), { code: 'not-found' })
})

test('a store copied without its empty folders is filled again', async () => {
  await using storage = await openTemporary()
  await mkdir(storage.location)
  await writeFile(join(storage.location, 'config'), 'x')
  await mkdir(join(storage.location, 'data'))
  for await (const file of storage.list('data', signal)) assert.fail(file.name)
  await storage.put(pack, [Buffer.from('abc')], signal)
  assert.equal((await storage.get(pack, {}, signal)).length, 3)
})

test('a system error becomes a fault with advice', () => {
  const cases: readonly [string, string, string][] = [
    ['ENOSPC', 'no-space', 'later'], ['EDQUOT', 'no-space', 'later'],
    ['EIO', 'storage-failed', 'later'], ['EACCES', 'storage-failed', 'never'],
    ['EROFS', 'storage-failed', 'never'], ['EWEIRD', 'storage-failed', 'later'],
  ]
  for (const [errno, code, retry] of cases) {
    const fault = storageFault('/repo', 'store x', Object.assign(new Error('x'), { code: errno }))
    assert.equal(fault.code, code)
    assert.equal(fault.retry, retry)
    assert.ok(fault.advice)
  }
})
