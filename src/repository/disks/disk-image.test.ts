import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { seededRandom } from '../../base/random.ts'
import { memorySource, testBlockSource, contractContent } from '../../disk/testing/mod.ts'
import { openMemoryStorage } from '../../storage/testing/mod.ts'
import { openDiskImage } from './disk-image.ts'
import type { BlobId } from '../format/id.ts'
import { dirNode, fileNode } from '../format/node.ts'
import type { Repository } from '../repository.ts'
import { openTestRepository, readTestDisk, storeTestDisk } from '../testing/disk-fixture.ts'
import type { Tree } from '../format/tree.ts'
import { beginWrite, type WriteSession } from '../write/write-session.ts'

const signal = new AbortController().signal
const chunkBytes = 4096
const small = { chunkBytes, segmentBytes: 2 * chunkBytes }

testBlockSource('stored disk', async () => {
  const repository = await openTestRepository(openMemoryStorage(), signal)
  const content = contractContent()
  const { treeId } = await storeTestDisk(repository, memorySource(content), small, signal)
  return openDiskImage(repository, treeId, { ...small, sizeBytes: content.length })
})

/** A disk of four segments, each part of which `change` may replace before it is stored. */
interface Parts {
  readonly segments: Tree[]
  readonly groups: Tree[]
}

const sizeBytes = 7 * chunkBytes + 100

async function storeParts(change: (
  parts: Parts, session: WriteSession) => Promise<void>): Promise<[Repository, BlobId]> {
  const repository = await openTestRepository(openMemoryStorage(), signal)
  await using session = await beginWrite(repository, {}, signal)
  const random = seededRandom(1)
  const save = (length: number): Promise<BlobId> => session.saveData(random(length))
  const segments: Tree[] = []
  for (const lengths of [[4096, 4096], [4096, 4096], [4096, 4096], [4096, 100]]) {
    const ids = []
    for (const length of lengths) ids.push(await save(length))
    const size = lengths.reduce((sum, length) => sum + length)
    segments.push({ nodes: [fileNode('seg', size, ids)] })
  }
  const parts: Parts = { segments, groups: [] }
  await change(parts, session)
  const nodes = []
  for (const [at, segment] of parts.segments.entries()) {
    nodes.push(dirNode(String(at).padStart(2, '0'), await session.saveTree(segment)))
  }
  const group = parts.groups[0] ?? { nodes }
  const groupId = await session.saveTree(group)
  const treeId = await session.saveTree({ nodes: [dirNode('0000', groupId)] })
  await session.flush(signal)
  return [repository, treeId]
}

const hostile: readonly (readonly [string, Parameters<typeof storeParts>[0]])[] = [
  ['a segment too few', async ({ segments }) => { segments.pop() }],
  ['a segment too many', async ({ segments }) => { segments.push(...segments.slice(0, 1)) }],
  ['a chunk too few', async ({ segments }) => {
    segments[1] = withFile(segments[1], (ids) => ids.slice(1), 8192)
  }],
  ['a chunk too many', async ({ segments }) => {
    segments[1] = withFile(segments[1], (ids) => [...ids, ...ids], 8192)
  }],
  ['a size that is not the segment\'s', async ({ segments }) => {
    segments[1] = withFile(segments[1], (ids) => ids, 8191)
  }],
  ['a size beyond all bounds', async ({ segments }) => {
    segments[1] = withFile(segments[1], (ids) => ids, Number.MAX_SAFE_INTEGER)
  }],
  ['a chunk of another length', async ({ segments }, session) => {
    const short = await session.saveData(new Uint8Array(99).fill(1))
    segments[1] = withFile(segments[1], ([first]) => [first ?? short, short], 8192)
  }],
  ['a chunk that is longer than its place', async ({ segments }, session) => {
    const long = await session.saveData(new Uint8Array(1_000_000).fill(1))
    segments[1] = withFile(segments[1], ([first]) => [first ?? long, long], 8192)
  }],
  ['another name', async ({ segments }) => {
    segments[1] = { nodes: [fileNode('gse', 8192, [])] }
  }],
  ['a second file', async ({ segments }) => {
    segments[1] = { nodes: [fileNode('a', 0, []), ...(segments[1]?.nodes ?? [])] }
  }],
  ['a folder in place of a file', async ({ segments }, session) => {
    const treeId = await session.saveTree({ nodes: [] })
    segments[1] = { nodes: [dirNode('seg', treeId)] }
  }],
  ['a file in place of a folder', async ({ groups }) => {
    groups.push({ nodes: ['00', '01', '02', '03'].map((name) => fileNode(name, 0, [])) })
  }],
]

function withFile(
  tree: Tree | undefined, change: (ids: readonly BlobId[]) => readonly BlobId[], size: number,
): Tree {
  const node = tree?.nodes[0]
  return { nodes: [fileNode('seg', size, node?.type === 'file' ? change(node.content) : [])] }
}

test('a tree that is as it should be is read', async () => {
  const [repository, treeId] = await storeParts(async () => {})
  const geometry = { ...small, sizeBytes }
  const image = openDiskImage(repository, treeId, geometry)
  const whole = await readTestDisk(repository, treeId, geometry, signal)
  assert.deepEqual(await image.read(0, sizeBytes, signal), whole)
})

for (const [what, change] of hostile) {
  test(`a disk with ${what} is invalid`, async () => {
    const [repository, treeId] = await storeParts(change)
    const geometry = { ...small, sizeBytes }
    await using image = openDiskImage(repository, treeId, geometry)
    await assert.rejects(image.read(0, sizeBytes, signal), { code: 'point-invalid' })
    await assert.rejects(
      readTestDisk(repository, treeId, geometry, signal), { code: 'point-invalid' })
  })
}

test('a disk that lacks a blob is damaged', async () => {
  const [repository, treeId] = await storeParts(async ({ segments }) => {
    segments[2] = withFile(segments[2], () => ['00'.repeat(32), '11'.repeat(32)] as BlobId[], 8192)
  })
  const geometry = { ...small, sizeBytes }
  await using image = openDiskImage(repository, treeId, geometry)
  await assert.rejects(image.read(0, sizeBytes, signal), { code: 'repository-damaged' })
  await assert.rejects(
    readTestDisk(repository, treeId, geometry, signal), { code: 'repository-damaged' })
  // What is not damaged can still be had.
  assert.equal((await image.read(0, 2 * chunkBytes, signal)).length, 2 * chunkBytes)
})

test('an image that is closed reads no more', async () => {
  const [repository, treeId] = await storeParts(async () => {})
  const image = openDiskImage(repository, treeId, { ...small, sizeBytes })
  await image.read(0, 10, signal)
  await image[Symbol.asyncDispose]()
  await assert.rejects(image.read(0, 10, signal), { code: 'disk-lost' })
})
