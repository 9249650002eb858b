import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isFault } from '../../base/fault.ts'
import { seededRandom } from '../../base/random.ts'
import { MOST_HERE_BYTES } from '../../base/thread-pool.ts'
import { checkRepository, type CheckReport } from './check.ts'
import type { CheckEvent } from './check-findings.ts'
import { goTime } from '../format/go-json.ts'
import type { BlobId } from '../format/id.ts'
import { encodeIndexFile, type IndexedPack } from '../format/index-file.ts'
import { dirNode, fileNode } from '../format/node.ts'
import { flipBit, makeSmallRepository, type SmallRepository } from '../testing/small-repository.ts'
import type { Tree } from '../format/tree.ts'
import { writeUnpacked } from '../format/unpacked-file.ts'
import { beginWrite } from '../write/write-session.ts'

const signal = new AbortController().signal
const random = seededRandom(6)

async function check(small: SmallRepository, readData = true): Promise<CheckReport> {
  return checkRepository(await small.reopen(), { readData }, () => {}, signal)
}

const codesOf = (report: CheckReport): readonly string[] =>
  [...new Set(report.findings.map((finding) => finding.code))].sort()

/** The pack that holds blobs of a kind. */
function packOf(small: SmallRepository, kind: 'data' | 'tree'): IndexedPack {
  const pack = [...small.repository.index.packs()].find((pack) => pack.blobs[0]?.kind === kind)
  assert.ok(pack !== undefined)
  return pack
}

/** Replaces the index by one that says what `change` makes of it. */
async function changeIndex(
  small: SmallRepository, change: (pack: IndexedPack) => IndexedPack): Promise<void> {
  for (const name of await small.names('index')) await small.change('index', name, () => undefined)
  const json = encodeIndexFile([...small.repository.index.packs()].map(change))
  await writeUnpacked(small.storage, small.repository.masterKey, 'index', json, random, signal)
}

/** Adds a snapshot of a tree that the writer itself would never make. */
async function addSnapshot(small: SmallRepository, tree: Tree): Promise<void> {
  await using session = await beginWrite(small.repository, {}, signal)
  const id = await session.saveTree(tree)
  await session.flush(signal)
  await session.saveSnapshot({ time: goTime(0), tree: id, paths: [] }, signal)
}

test('a sound repository has no findings, and all of it was looked at', async () => {
  const small = await makeSmallRepository()
  const events: CheckEvent[] = []
  const report = await checkRepository(
    small.repository, { readData: true }, (event) => events.push(event), signal)
  const { bytesRead, ...counts } = report
  assert.deepEqual(counts, {
    isSound: true, errors: 0, warnings: 0, findings: [], snapshots: 1, trees: 2, packs: 2, blobs: 4,
    duplicateBlobs: 0, unreferencedBlobs: 0,
  })
  const files = await Array.fromAsync(small.storage.list('data', signal))
  assert.equal(bytesRead, files.reduce((sum, file) => sum + file.sizeBytes, 0))
  const phases = events.map((event) => (event.kind === 'progress' ? event.phase : event.kind))
  assert.deepEqual([...new Set(phases)], ['snapshots', 'index', 'packs', 'trees', 'data'])
  assert.equal((await check(small, false)).bytesRead, 0)
})

const damages: readonly {
  readonly what: string
  readonly damage: (small: SmallRepository) => Promise<void>
  /** With every byte read, and without. */
  readonly found: readonly string[]
  readonly foundBySizes: readonly string[]
}[] = [
  {
    what: 'a bit of data flipped',
    damage: (small) => small.change('data', packOf(small, 'data').id, flipBit(20)),
    found: ['blob-damaged', 'pack-damaged'], foundBySizes: [],
  }, {
    what: 'a bit of a pack header flipped',
    damage: (small) => small.change('data', packOf(small, 'data').id, flipBit(-30)),
    found: ['pack-damaged'], foundBySizes: [],
  }, {
    what: 'a bit of a tree flipped',
    damage: (small) => small.change('data', packOf(small, 'tree').id, flipBit(20)),
    found: ['blob-damaged', 'pack-damaged', 'tree-damaged'], foundBySizes: ['tree-damaged'],
  }, {
    what: 'a pack cut short',
    damage: (small) => small.change('data', packOf(small, 'data').id, (b) => b.subarray(0, -1)),
    found: ['pack-damaged', 'pack-size'], foundBySizes: ['pack-size'],
  }, {
    what: 'a pack cut to nothing',
    damage: (small) => small.change('data', packOf(small, 'data').id, () => new Uint8Array(0)),
    found: ['blob-damaged', 'pack-damaged', 'pack-size'], foundBySizes: ['pack-size'],
  }, {
    what: 'a pack removed',
    damage: (small) => small.change('data', packOf(small, 'data').id, () => undefined),
    found: ['pack-missing'], foundBySizes: ['pack-missing'],
  }, {
    what: 'the packs swapped under one another\'s names',
    damage: async (small) => {
      const data = packOf(small, 'data').id
      const tree = packOf(small, 'tree').id
      const dataBytes = await small.storage.get({ kind: 'data', name: data }, {}, signal)
      const treeBytes = await small.storage.get({ kind: 'data', name: tree }, {}, signal)
      await small.change('data', data, () => treeBytes)
      await small.change('data', tree, () => dataBytes)
    },
    found: ['blob-damaged', 'pack-damaged', 'pack-size', 'tree-damaged'],
    foundBySizes: ['pack-size', 'tree-damaged'],
  }, {
    what: 'a snapshot damaged',
    damage: (small) => small.change('snapshots', small.snapshotId, flipBit(-1)),
    found: ['snapshot-damaged'], foundBySizes: ['snapshot-damaged'],
  }, {
    what: 'the index removed',
    damage: async (small) => {
      const [name = ''] = await small.names('index')
      await small.change('index', name, () => undefined)
    },
    found: ['pack-orphan', 'tree-missing'], foundBySizes: ['pack-orphan', 'tree-missing'],
  }, {
    what: 'the index damaged',
    damage: async (small) => {
      const [name = ''] = await small.names('index')
      await small.change('index', name, flipBit(-1))
    },
    found: ['index-damaged', 'pack-orphan', 'tree-missing'],
    foundBySizes: ['index-damaged', 'pack-orphan', 'tree-missing'],
  }, {
    what: 'a blob missing from the index',
    damage: (small) => changeIndex(small, (pack) => ({
      ...pack, blobs: pack.blobs.filter((blob) => blob.id !== small.dataIds[0]) })),
    found: ['data-missing', 'pack-damaged', 'pack-layout', 'pack-size'],
    foundBySizes: ['data-missing', 'pack-layout', 'pack-size'],
  }, {
    what: 'lengths in the index that overlap',
    damage: (small) => changeIndex(small, (pack) => ({
      ...pack, blobs: pack.blobs.map((blob, i) => ({ ...blob, length: blob.length + 2 - i })) })),
    found: ['blob-damaged', 'pack-damaged', 'pack-layout', 'pack-size', 'tree-damaged'],
    foundBySizes: ['pack-layout', 'pack-size', 'tree-damaged'],
  }, {
    what: 'plaintext lengths in the index that are wrong',
    damage: (small) => changeIndex(small, (pack) => ({
      ...pack,
      blobs: pack.blobs.map((blob) => blob.kind === 'tree' || blob.uncompressedLength === 0
        ? blob : { ...blob, uncompressedLength: blob.uncompressedLength + 1 }) })),
    found: ['blob-damaged', 'pack-damaged', 'size-differs'], foundBySizes: ['size-differs'],
  }, {
    what: 'a file that says another size than its content has',
    damage: (small) => addSnapshot(small, { nodes: [fileNode('x', 5, [small.dataIds[0]])] }),
    found: ['size-differs'], foundBySizes: ['size-differs'],
  }, {
    what: 'a file of blobs that are nowhere',
    damage: (small) =>
      addSnapshot(small, { nodes: [fileNode('x', 5, ['0'.repeat(64) as BlobId])] }),
    found: ['data-missing'], foundBySizes: ['data-missing'],
  }, {
    what: 'a directory whose tree is a file\'s data',
    damage: (small) => addSnapshot(small, { nodes: [dirNode('x', small.dataIds[0])] }),
    found: ['tree-missing'], foundBySizes: ['tree-missing'],
  },
]

for (const { what, damage, found, foundBySizes } of damages) {
  test(`${what}: is found, and the check goes on to its end`, async () => {
    const small = await makeSmallRepository()
    await damage(small)
    const report = await check(small)
    assert.deepEqual(codesOf(report), found)
    assert.equal(report.isSound, report.errors === 0)
    assert.equal(report.errors + report.warnings, report.findings.length)
    assert.deepEqual(codesOf(await check(small, false)), foundBySizes)
  })
}

test('damage to a pack that a thread checks is found', async () => {
  const small = await makeSmallRepository()
  await using session = await beginWrite(small.repository, {}, signal)
  const half = MOST_HERE_BYTES / 2
  const blobs = await Array.fromAsync([1, 2, 3], () => session.saveData(random(half)))
  await session.flush(signal)
  await addSnapshot(small, { nodes: [fileNode('large', 3 * half, blobs)] })
  assert.ok((await check(small)).isSound)
  const large = [...small.repository.index.packs()].find((pack) =>
    pack.blobs.some(({ id }) => id === blobs[2]))
  await small.change('data', large?.id ?? '', flipBit(half + 100))
  assert.deepEqual(codesOf(await check(small)), ['blob-damaged', 'pack-damaged'])
})

test('a tree as deep as anybody likes is walked, and its path stays readable', async () => {
  const small = await makeSmallRepository()
  await using session = await beginWrite(small.repository, {}, signal)
  let id = await session.saveTree({ nodes: [fileNode('x', 1, ['0'.repeat(64) as BlobId])] })
  for (let depth = 0; depth < 1200; depth++) {
    id = await session.saveTree({ nodes: [dirNode(`d${depth}`, id)] })
  }
  await session.flush(signal)
  await session.saveSnapshot({ time: goTime(0), tree: id, paths: [] }, signal)
  const report = await check(small, false)
  assert.deepEqual(codesOf(report), ['data-missing'])
  assert.equal(report.trees, 1203)
  assert.ok((report.findings[0]?.message.length ?? Infinity) < 2000)
})

test('a pack that no index has is a warning only, and the repository is sound', async () => {
  const small = await makeSmallRepository()
  await small.storage.put({ kind: 'data', name: 'e'.repeat(64) }, [new Uint8Array(9)], signal)
  const report = await check(small)
  assert.deepEqual(codesOf(report), ['pack-orphan'])
  assert.ok(report.isSound && report.warnings === 1)
})

test('blobs that are stored twice or not needed are counted, not found fault with', async () => {
  const small = await makeSmallRepository()
  const other = await small.reopen()
  // Its index stays empty, so that it stores again.
  const blind = new Proxy(other, {
    get: (target, key): unknown => {
      if (key === 'loadIndex') return async () => {}
      const value: unknown = Reflect.get(target, key, target)
      return typeof value === 'function' ? value.bind(target) as unknown : value
    },
  })
  await using session = await beginWrite(blind, {}, signal)
  await session.saveData(Buffer.from('two'))
  await session.saveData(Buffer.from('needed by nobody'))
  await session.flush(signal)
  const report = await check(small)
  assert.ok(report.isSound)
  assert.deepEqual([report.blobs, report.duplicateBlobs, report.unreferencedBlobs], [6, 1, 1])
})

test('every finding is told when it is found, however many there are', async () => {
  const small = await makeSmallRepository()
  for (let i = 0; i < 1100; i++) {
    const name = i.toString(16).padStart(64, '0')
    await small.storage.put({ kind: 'data', name }, [new Uint8Array(1)], signal)
  }
  let told = 0
  const report = await checkRepository(await small.reopen(), { readData: false }, (event) => {
    if (event.kind === 'finding') told++
  }, signal)
  assert.equal(told, 1100)
  assert.equal(report.warnings, 1100)
  assert.equal(report.findings.length, 1000)
})

test('an abort ends the check with its reason', async () => {
  const small = await makeSmallRepository()
  const controller = new AbortController()
  const running = checkRepository(small.repository, { readData: true }, (event) => {
    if (event.kind === 'progress' && event.phase === 'trees') controller.abort()
  }, controller.signal)
  await assert.rejects(running, (error) => isFault(error, 'interrupted'))
})
