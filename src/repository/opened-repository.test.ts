import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isFault, type FaultCode } from '../base/fault.ts'
import { seededRandom } from '../base/random.ts'
import { sealBlob } from './format/blob.ts'
import { goTime, parseGoTime } from './format/go-json.ts'
import { blobIdOf, type BlobId, type FileId } from './format/id.ts'
import { encodeIndexFile } from './format/index-file.ts'
import { PackBuilder } from './format/pack.ts'
import {
  flipBit, makeSmallRepository, SMALL_DATA, type SmallRepository,
} from './testing/small-repository.ts'
import { writeUnpacked } from './format/unpacked-file.ts'
import { beginWrite } from './write/write-session.ts'

const signal = new AbortController().signal
const random = seededRandom(4)
const fault = (code: FaultCode, text = /./) => (error: unknown): boolean =>
  isFault(error, code) && text.test(error.message)

async function reopened(small: SmallRepository): Promise<SmallRepository['repository']> {
  const repository = await small.reopen()
  await repository.loadIndex(signal)
  return repository
}

test('snapshots, trees and blobs are read as they were stored', async () => {
  const small = await makeSmallRepository()
  const repository = await reopened(small)
  const [stored] = await repository.snapshots(signal)
  assert.equal(stored?.id, small.snapshotId)
  assert.equal(stored.snapshot.tree, small.rootId)
  const root = await repository.readTree(small.rootId, signal)
  const entries = root.nodes.map((node) => `${node.type} ${node.name}`)
  assert.deepEqual(entries, ['file a', 'dir sub'])
  assert.equal(await repository.readTree(small.rootId, signal), root) // kept
  for (const [i, id] of small.dataIds.entries()) {
    assert.deepEqual(new Uint8Array(await repository.readBlob('data', id, signal)), SMALL_DATA[i])
  }
})

test('a blob of the other kind, or unknown, is not found and the fault says so', async () => {
  const { repository, rootId } = await makeSmallRepository()
  await assert.rejects(
    repository.readBlob('data', rootId, signal), fault('repository-damaged', /index/))
  const unknown = 'f'.repeat(64) as BlobId
  await assert.rejects(repository.readTree(unknown, signal), fault('repository-damaged', /index/))
})

test('a snapshot is found by the beginning of its id, if that is one only', async () => {
  const small = await makeSmallRepository()
  const { repository, snapshotId } = small
  for (const prefix of [snapshotId, snapshotId.slice(0, 8), snapshotId.slice(0, 1)]) {
    assert.equal((await repository.resolveSnapshot(prefix, signal)).id, snapshotId)
  }
  for (const prefix of ['', 'zz', '../config', `${snapshotId}0`, snapshotId.slice(1)]) {
    await assert.rejects(repository.resolveSnapshot(prefix, signal), fault('point-not-found'))
  }
  const json = Buffer.from('{}')
  // Enough of them that two begin alike.
  for (let i = 0; i < 17; i++) {
    await writeUnpacked(small.storage, repository.masterKey, 'snapshots', json, random, signal)
  }
  const ids = await repository.snapshotIds(signal)
  const shared = ids.find((id) => ids.filter((other) => other[0] === id[0]).length > 1) ?? ''
  await assert.rejects(
    repository.resolveSnapshot(shared.slice(0, 1), signal), fault('point-not-found', /begin with/))
  const unknown = 'f'.repeat(64) as FileId
  await assert.rejects(repository.snapshot(unknown, signal), fault('point-not-found'))
})

test('snapshots come oldest first', async () => {
  const { repository, rootId } = await makeSmallRepository()
  await using session = await beginWrite(repository, {}, signal)
  const texts = ['2024-01-01T00:00:00+02:00', '2023-12-31T23:30:00Z', '2020-01-01T00:00:00Z']
  for (const text of texts) {
    const time = parseGoTime(text, 'it')
    await session.saveSnapshot({ time, tree: rootId, paths: [text] }, signal)
  }
  const times = (await repository.snapshots(signal)).map(({ snapshot }) => snapshot.time)
  assert.deepEqual(times, ['2020-01-01T00:00:00Z', '2023-11-14T22:13:20Z',
    '2024-01-01T00:00:00+02:00', '2023-12-31T23:30:00Z'])
})

test('what another client adds is readable once its snapshot was listed', async () => {
  const small = await makeSmallRepository()
  const reader = await reopened(small)
  await reader.snapshots(signal)
  await using session = await beginWrite(small.repository, {}, signal)
  const tree = await session.saveTree({ nodes: [] })
  await session.flush(signal)
  const id = await session.saveSnapshot({ time: goTime(0), tree, paths: [] }, signal)
  assert.equal(reader.index.has('tree', tree), false)
  await reader.snapshot(id, signal)
  assert.deepEqual(await reader.readTree(tree, signal), { nodes: [] })
})

test('a blob that is damaged in one pack is read from another', async () => {
  const small = await makeSmallRepository()
  const [one] = SMALL_DATA
  const { masterKey } = small.repository
  const builder = new PackBuilder('data', masterKey, random)
  const { sealed, uncompressedLength } = sealBlob(masterKey, one, random)
  builder.add(blobIdOf(one), sealed, uncompressedLength)
  const pack = builder.finish()
  await small.storage.put({ kind: 'data', name: pack.id }, pack.parts, signal)
  await writeUnpacked(
    small.storage, masterKey, 'index', encodeIndexFile([pack]), random, signal)
  const first = small.repository.index.lookup('data', blobIdOf(one))?.packId ?? ''
  for (const change of [flipBit(20), () => undefined]) {
    await small.change('data', first, change)
    const repository = await reopened(small)
    const found = await repository.readBlob('data', blobIdOf(one), signal)
    assert.deepEqual(new Uint8Array(found), one)
  }
  await small.change('data', pack.id, flipBit(20))
  await assert.rejects((await reopened(small)).readBlob('data', blobIdOf(one), signal),
    fault('repository-damaged', new RegExp(blobIdOf(one))))
})

test('damage is named after the file that has it', async () => {
  for (const kind of ['index', 'snapshots'] as const) {
    const small = await makeSmallRepository()
    const [name = ''] = await small.names(kind)
    await small.change(kind, name, flipBit(-1))
    const repository = await small.reopen()
    const read = kind === 'index' ? repository.loadIndex(signal) : repository.snapshots(signal)
    await assert.rejects(read, fault('repository-damaged', new RegExp(`${kind}/${name}`)))
  }
})

test('an index that leads to another place of a pack does not lead to other data', async () => {
  const small = await makeSmallRepository()
  const [name = ''] = await small.names('index')
  await small.change('index', name, () => undefined)
  const { masterKey, index } = small.repository
  const packs = [...index.packs()].map((pack) => ({
    ...pack,
    blobs: pack.blobs.map((blob) => ({ ...blob, id: pack.blobs.at(-1)?.id ?? blob.id })),
  }))
  await writeUnpacked(small.storage, masterKey, 'index', encodeIndexFile(packs), random, signal)
  const repository = await reopened(small)
  const id = packs.flatMap((pack) => pack.blobs).find((blob) => blob.kind === 'data')?.id
  assert.ok(id !== undefined)
  // Two places claim the id, and only one of them has it.
  assert.equal(blobIdOf(await repository.readBlob('data', id, signal)), id)
})

test('an abort ends a read with its reason', async () => {
  const { repository, rootId } = await makeSmallRepository()
  const aborted = AbortSignal.abort(new Error('enough'))
  await assert.rejects(repository.snapshots(aborted), /enough/)
  await assert.rejects(repository.readTree(rootId, aborted), /enough/)
})
