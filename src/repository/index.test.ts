import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { BlobId, FileId } from './format/id.ts'
import { idBytes } from './format/id.ts'
import { BlobIndex, type BlobLocation } from './index.ts'
import type { IndexedPack } from './format/index-file.ts'
import type { PackedBlob } from './format/pack.ts'

/** An id whose first word repeats every `spread` ids, so that slots collide. */
function idOf(n: number, spread = 0x1_0000_0000): string {
  const bytes = Buffer.alloc(32)
  bytes.writeUInt32LE(Math.imul(n % spread, 0x9e3779b1) >>> 0, 0)
  bytes.writeUInt32LE(n, 28)
  return bytes.toString('hex')
}

const packs = fc.array(fc.record({
  id: fc.integer({ min: 0, max: 30 }).map((n) => idOf(n) as FileId),
  blobs: fc.array(fc.record({
    kind: fc.constantFrom('data' as const, 'tree' as const),
    id: fc.integer({ min: 0, max: 60 }).map((n) => idOf(n, 5) as BlobId),
    offset: fc.integer({ min: 0, max: 3 }),
    length: fc.integer({ min: 33, max: 0xffff_ffff }),
    uncompressedLength: fc.integer({ min: 0, max: 0xffff_ffff }),
  }), { maxLength: 30 }),
}), { maxLength: 20 })

const place = (blob: BlobLocation): string =>
  `${blob.kind} ${blob.id} ${blob.packId} ${blob.offset}`

test('every blob that was added is found at all its places, and no other', () => {
  fc.assert(fc.property(packs, (list) => {
    const index = new BlobIndex()
    const model = new Map<string, BlobLocation>()
    for (const pack of list) {
      // A pack has one blob at a place; told of twice, the index keeps what it had.
      const blobs = [...new Map(pack.blobs.map((blob) =>
        [`${blob.kind} ${blob.id} ${blob.offset}`, blob])).values()]
      index.addPack({ id: pack.id, blobs })
      for (const blob of blobs) {
        const location = { ...blob, packId: pack.id }
        if (!model.has(place(location))) model.set(place(location), location)
      }
    }
    assert.deepEqual([...index].map(place).sort(), [...model.keys()].sort())
    const packIds = [...index.packIds()]
    assert.deepEqual([...index.packs()].map(({ id }) => id), packIds)
    for (const [entry, { kind, id, packId, ...rest }] of [...index].entries()) {
      assert.deepEqual(index.placeOf(entry), { kind, pack: packIds.indexOf(packId), ...rest })
      assert.equal(index.firstEntryOf(entry), index.entryOf(kind, id))
    }
    for (let n = 0; n <= 60; n++) {
      for (const kind of ['data', 'tree'] as const) {
        const id = idOf(n, 5) as BlobId
        const wanted = [...model.values()].filter((blob) => blob.id === id && blob.kind === kind)
        assert.deepEqual(index.lookupAll(kind, id).map(place).sort(), wanted.map(place).sort())
        assert.equal(index.has(kind, id), wanted.length > 0)
        assert.equal(index.hasBytes(kind, idBytes(id)), wanted.length > 0)
        assert.equal(index.lookup(kind, id) === undefined, wanted.length === 0)
      }
    }
  }))
})

test('packs come back whole, their blobs by offset', () => {
  const index = new BlobIndex()
  const blob = (n: number, offset: number): PackedBlob =>
    ({ kind: 'data', id: idOf(n) as BlobId, offset, length: 40, uncompressedLength: n })
  index.addPack({ id: idOf(1) as FileId, blobs: [blob(1, 80), blob(2, 0), blob(3, 40)] })
  index.addPack({ id: idOf(2) as FileId, blobs: [] })
  index.addPack({ id: idOf(3) as FileId, blobs: [blob(1, 0)] })
  index.addPack({ id: idOf(1) as FileId, blobs: [blob(1, 80), blob(4, 120)] })
  const found = [...index.packs()].map((pack) => [pack.id, pack.blobs.map((b) => [b.id, b.offset])])
  assert.deepEqual(found, [
    [idOf(1), [[idOf(2), 0], [idOf(3), 40], [idOf(1), 80], [idOf(4), 120]]],
    [idOf(2), []],
    [idOf(3), [[idOf(1), 0]]],
  ])
})

test('an attached index sees what was there when it was shared, and cannot be added to', () => {
  const index = new BlobIndex()
  const pack = (from: number, to: number): IndexedPack => ({
    id: idOf(from) as FileId,
    blobs: Array.from({ length: to - from }, (_, i) => ({
      kind: 'tree', id: idOf(from + i) as BlobId, offset: i * 40, length: 40, uncompressedLength: 9,
    })),
  })
  index.addPack(pack(0, 500))
  const attached = BlobIndex.attach(structuredClone(index.share()))
  index.addPack(pack(500, 505))
  index.addPack(pack(505, 5000))
  assert.equal(attached.size, 500)
  for (const n of [0, 123, 499]) {
    const id = idOf(n) as BlobId
    assert.deepEqual(attached.lookup('tree', id), index.lookup('tree', id))
  }
  for (const n of [500, 504, 505, 4999]) {
    assert.equal(attached.has('tree', idOf(n) as BlobId), false)
    assert.equal(index.has('tree', idOf(n) as BlobId), true)
  }
  assert.throws(() => attached.addPack(pack(9, 10)))
})

test('a million blobs take at most 72 bytes each and are all found', () => {
  const index = new BlobIndex()
  const perPack = 10_000
  for (let p = 0; p < 100; p++) {
    index.addPack({
      id: idOf(p) as FileId,
      blobs: Array.from({ length: perPack }, (_, i) => ({
        kind: 'data', id: idOf(p * perPack + i) as BlobId,
        offset: i * 1000, length: 1000, uncompressedLength: i + 1 })),
    })
  }
  const { segments, slots, packIds } = index.share()
  const bytes = [...segments, slots, packIds].reduce((sum, part) => sum + part.byteLength, 0)
  assert.ok(bytes / 1_000_000 <= 72, `${bytes / 1_000_000} bytes a blob`)
  for (let n = 0; n < 1_000_000; n += 997) {
    const found = index.lookup('data', idOf(n) as BlobId)
    assert.equal(found?.packId, idOf(Math.floor(n / perPack)))
    assert.equal(found?.offset, (n % perPack) * 1000)
    assert.equal(index.has('tree', idOf(n) as BlobId), false)
  }
  assert.equal(index.has('data', idOf(1_000_001) as BlobId), false)
})
