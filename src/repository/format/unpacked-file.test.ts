import assert from 'node:assert/strict'
import { test } from 'node:test'
import { zstdCompressSync } from 'node:zlib'
import { isFault } from '../../base/fault.ts'
import { seededRandom } from '../../base/random.ts'
import { openMemoryStorage } from '../../storage/testing/mod.ts'
import { MasterKey } from './crypto.ts'
import { fileIdOf, type FileId } from './id.ts'
import {
  openUnpacked, readUnpacked, readUnpackedIfThere, sealUnpacked, writeUnpacked,
} from './unpacked-file.ts'

const signal = new AbortController().signal
const random = seededRandom(2)
const key = new MasterKey(random(64))
const json = Buffer.from('{"a":1}')
const isDamage = (error: unknown): boolean => isFault(error, 'repository-damaged')

const sealedAs = (plaintext: Uint8Array): { readonly id: FileId; readonly file: Uint8Array } => {
  const file = key.seal(plaintext, random)
  return { id: fileIdOf(file), file }
}

test('a file is read as it was written, and lies compressed under its hash', async () => {
  await using storage = openMemoryStorage()
  await storage.create(signal)
  const id = await writeUnpacked(storage, key, 'index', json, random, signal)
  assert.deepEqual(Buffer.from(await readUnpacked(storage, key, 'index', id, signal)), json)
  const stored = await storage.get({ kind: 'index', name: id }, {}, signal)
  assert.equal(fileIdOf(stored), id)
  assert.equal(key.open(stored, 'it')[0], 2)
})

test('a file that is gone is a fault, or undefined where that is expected', async () => {
  await using storage = openMemoryStorage()
  await storage.create(signal)
  const id = 'a'.repeat(64) as FileId
  await assert.rejects(readUnpacked(storage, key, 'locks', id, signal), (error) =>
    isFault(error, 'not-found'))
  assert.equal(await readUnpackedIfThere(storage, key, 'locks', id, signal), undefined)
})

test('raw JSON, as version 1 had it, is read', () => {
  for (const text of ['{"a":1}', '[1]']) {
    const { id, file } = sealedAs(Buffer.from(text))
    assert.equal(Buffer.from(openUnpacked(key, 'index', id, file)).toString(), text)
  }
})

test('a file with another name, another encoding, or altered is refused', () => {
  const { id, file } = sealUnpacked(key, json, random)
  assert.throws(() => openUnpacked(key, 'index', 'a'.repeat(64) as FileId, file), isDamage)
  const altered = file.slice()
  altered[20] = (altered[20] ?? 0) ^ 1
  assert.throws(() => openUnpacked(key, 'index', id, altered), isDamage)
  assert.throws(() => openUnpacked(key, 'index', fileIdOf(altered), altered), isDamage)
  for (const plaintext of ['', ' {}', '\u0001{}', '\u0002', '\u0002{}']) {
    const other = sealedAs(Buffer.from(plaintext))
    assert.throws(() => openUnpacked(key, 'index', other.id, other.file), isDamage, plaintext)
  }
})

test('a lock that decompresses to gigabytes is refused', () => {
  const bomb = Buffer.concat([Buffer.of(2), zstdCompressSync(Buffer.alloc(50_000_000, ' '))])
  const { id, file } = sealedAs(bomb)
  assert.throws(() => openUnpacked(key, 'locks', id, file), isDamage)
})
