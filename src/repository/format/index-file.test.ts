import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isFault } from '../../base/fault.ts'
import { MAX_BLOB_BYTES } from './blob.ts'
import { blobIdFromBytes, fileIdFromBytes, type BlobId, type FileId } from './id.ts'
import { encodeIndexFile, parseIndexFile, readIndexFile } from './index-file.ts'

const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 })
const packs = fc.array(fc.record({
  id: bytes32.map((bytes) => fileIdFromBytes(bytes)),
  blobs: fc.array(fc.record({
    kind: fc.constantFrom('data' as const, 'tree' as const),
    id: bytes32.map((bytes) => blobIdFromBytes(bytes)),
    offset: fc.nat(),
    length: fc.integer({ min: 33, max: MAX_BLOB_BYTES }),
    uncompressedLength: fc.integer({ min: 0, max: MAX_BLOB_BYTES }),
  }, { noNullPrototype: true })),
}, { noNullPrototype: true }))

test('an index file is read as it was written', () => {
  fc.assert(fc.property(packs, (list) => {
    const file = encodeIndexFile(list)
    assert.deepEqual(parseIndexFile(file, 'it'), list)
    assert.deepEqual([...readIndexFile(file, 'it')], list)
    const spaced = Buffer.from(JSON.stringify(JSON.parse(Buffer.from(file).toString()), null, 1))
    assert.deepEqual([...readIndexFile(spaced, 'it')], list)
  }))
})

test('an index file has the bytes that restic would write', () => {
  const blob = { kind: 'data', id: 'b'.repeat(64) as BlobId, offset: 0, length: 50 } as const
  const json = encodeIndexFile([{ id: 'a'.repeat(64) as FileId, blobs: [
    { ...blob, uncompressedLength: 0 },
    { ...blob, kind: 'tree', offset: 50, uncompressedLength: 99 },
  ] }])
  assert.equal(Buffer.from(json).toString(), `{"packs":[{"id":"${'a'.repeat(64)}","blobs":[` +
    `{"id":"${'b'.repeat(64)}","type":"data","offset":0,"length":50},` +
    `{"id":"${'b'.repeat(64)}","type":"tree","offset":50,"length":50,"uncompressed_length":99}` +
    ']}]}\n')
})

test('what older or other programs add to an index file is passed over', () => {
  const json = '{"supersedes":["00"],"packs":[],"x":1}'
  assert.deepEqual(parseIndexFile(Buffer.from(json), 'it'), [])
  assert.deepEqual([...readIndexFile(Buffer.from(json), 'it')], [])
})

test('an index file with an absurd or missing value is refused', () => {
  const blob = { id: 'b'.repeat(64), type: 'data', offset: 0, length: 50 }
  const index = (change: object): Buffer => Buffer.from(JSON.stringify({
    packs: [{ id: 'a'.repeat(64), blobs: [{ ...blob, ...change }] }] }))
  assert.equal(parseIndexFile(index({}), 'it').length, 1)
  const table: readonly (readonly [string, Buffer])[] = [
    ['not JSON', Buffer.from('{')],
    ['no packs', Buffer.from('{}')],
    ['packs of no list', Buffer.from('{"packs":{}}')],
    ['a pack of no object', Buffer.from('{"packs":[7]}')],
    ['a pack without blobs', Buffer.from(`{"packs":[{"id":"${'a'.repeat(64)}"}]}`)],
    ['a pack name that leads elsewhere', Buffer.from('{"packs":[{"id":"../config","blobs":[]}]}')],
    ['a blob of no object', Buffer.from(`{"packs":[{"id":"${'a'.repeat(64)}","blobs":[null]}]}`)],
    ['a bad id', index({ id: 'B'.repeat(64) })],
    ['an unknown type', index({ type: 'door' })],
    ['a negative offset', index({ offset: -1 })],
    ['a fractional offset', index({ offset: 0.5 })],
    ['no offset', index({ offset: undefined })],
    ['an offset of text', index({ offset: '0' })],
    ['an offset beyond 4 GiB', index({ offset: 2 ** 32 })],
    ['an end beyond 4 GiB', index({ offset: 2 ** 32 - 40 })],
    ['a length of nothing but the seal', index({ length: 32 })],
    ['a length that nobody could hold', index({ length: 2 ** 31 })],
    ['a plaintext that nobody could hold', index({ uncompressed_length: MAX_BLOB_BYTES + 1 })],
    ['a negative plaintext', index({ uncompressed_length: -1 })],
  ]
  for (const [what, json] of table) {
    for (const read of [parseIndexFile, (...args: Parameters<typeof parseIndexFile>) =>
      Array.from(readIndexFile(...args))]) {
      assert.throws(() => read(json, 'it'), (error) => isFault(error, 'repository-damaged'), what)
    }
  }
})
