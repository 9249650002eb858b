/** VHDX of our own writer: each state of a block, chains, and logs that are pending. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { BlockSource } from '../block-source.ts'
import { contractContent, testBlockSource } from '../testing/contract.ts'
import { memorySource } from '../testing/memory-disk.ts'
import { assembled, vhdxImage, type VhdxBlock, type VhdxImage } from '../testing/vhdx-image.ts'
import type { FindFile } from './parent-chain.ts'
import { openVhdx } from './vhdx-source.ts'

const MIB = 2 ** 20
const signal = new AbortController().signal
const GUIDS = ['a', 'b', 'c', 'd'].map((letter) =>
  `${letter.repeat(8)}-1111-4111-8111-111111111111`) as [string, string, string, string]

const alone: FindFile = async function* () {}

function inMemory(files: Readonly<Record<string, VhdxImage>>): FindFile {
  return async function* (name) {
    const image = files[name]
    if (image !== undefined) yield memorySource(assembled(vhdxImage(image)), { name })
  }
}

function open(image: VhdxImage, find = alone): Promise<BlockSource> {
  return openVhdx(memorySource(assembled(vhdxImage(image)), { name: 'child.avhdx' }), find, signal)
}

/** The blocks of `content` that are not zeros; some sectors of them if `has` says so. */
function blocksOf(
  content: Uint8Array, blockBytes: number, has?: (sector: number) => boolean,
): ReadonlyMap<number, VhdxBlock> {
  const blocks = new Map<number, VhdxBlock>()
  for (let n = 0; n * blockBytes < content.length; n++) {
    const bytes = new Uint8Array(blockBytes)
    bytes.set(content.subarray(n * blockBytes, (n + 1) * blockBytes))
    if (has !== undefined) {
      const first = n * blockBytes / 512
      blocks.set(n, { state: 'partial', bytes, has: (sector) => has(first + sector) })
    } else if (bytes.some((byte) => byte !== 0)) blocks.set(n, { state: 'present', bytes })
  }
  return blocks
}

const content = contractContent()
const plain = {
  sizeBytes: content.length, blockBytes: MIB, sectorBytes: 512, dataWriteGuid: GUIDS[0],
  blocks: blocksOf(content, MIB),
} as const satisfies VhdxImage

/** Of the sectors every third is here, the rest in the parent, which holds noise for the others. */
function torn(): { readonly child: VhdxImage; readonly find: FindFile } {
  const isHere = (sector: number): boolean => sector % 3 === 0
  const old = content.slice()
  for (let sector = 0; sector * 512 < old.length; sector += 3) old.fill(0xee, sector * 512,
    (sector + 1) * 512)
  const parent = { ...plain, blockBytes: 2 * MIB, blocks: blocksOf(old, 2 * MIB) }
  return {
    child: { ...plain, dataWriteGuid: GUIDS[1], blocks: blocksOf(content, MIB, isHere),
      parent: { linkage: GUIDS[0], relativePath: '..\\..\\base.vhdx' } },
    find: inMemory({ 'base.vhdx': parent }) }
}

testBlockSource('dynamic VHDX', () => open(plain))
testBlockSource('differencing VHDX', () => open(torn().child, torn().find))
testBlockSource('VHDX with a pending log', () => open({ ...plain, log: 'pending' }))

async function whole(source: BlockSource): Promise<Buffer> {
  return Buffer.from(await source.read(0, source.sizeBytes, signal))
}

test('blocks that hold nothing hide the parent or show it, as they say', async () => {
  const base = { ...plain, blocks: blocksOf(new Uint8Array(content.length).fill(1), MIB) }
  await using disk = await open({
    ...plain, dataWriteGuid: GUIDS[1], parent: { linkage: GUIDS[0], relativePath: 'base.vhdx' },
    sizeBytes: 12 * MIB, // grown since
    blocks: new Map([
      [0, { state: 'zero' }], [1, { state: 'unmapped' }], [2, { state: 'undefined' }],
      [4, { state: 'present', bytes: new Uint8Array(MIB).fill(2) }]]),
  }, inMemory({ 'base.vhdx': base }))
  const seen = await Promise.all(Array.from({ length: 12 }, async (_, n) =>
    (await disk.read(n * MIB + 7, 1, signal))[0]))
  assert.deepEqual(seen, [0, 0, 0, 1, 2, 1, 1, 1, 1, 1, 0, 0])
  const zeros = (await Array.fromAsync(disk.extents?.(
    { offset: 0, length: disk.sizeBytes }, signal) ?? []))
    .filter(({ kind }) => kind === 'zero').map(({ offset, length }) => [offset, length])
  assert.deepEqual(zeros, [[0, 3 * MIB], [9 * MIB + 512, 3 * MIB - 512]])
})

for (const log of ['pending', 'stale', 'torn'] as const) {
  test(`a log that is ${log} is replayed, also a parent's`, async () => {
    await using disk = await open({ ...plain, log })
    assert.ok((await whole(disk)).equals(content))
    await using child = await open({
      ...plain, log, dataWriteGuid: GUIDS[1], blocks: new Map(),
      parent: { linkage: GUIDS[0], relativePath: 'base.vhdx' },
    }, inMemory({ 'base.vhdx': { ...plain, log } }))
    assert.ok((await whole(child)).equals(content))
  })
}

test('the ends of a sector that is in the log are put right', async () => {
  const bytes = new Uint8Array(MIB).fill(3)
  // The entries of these blocks are the first and the last of a sector of the table.
  const block = { state: 'present', bytes } as const
  const blocks = new Map([[0, block], [511, block]])
  await using disk = await open({ ...plain, sizeBytes: 600 * MIB, blocks, log: 'pending' })
  for (const number of [0, 511]) {
    assert.deepEqual(await disk.read(number * MIB, 4, signal), new Uint8Array(4).fill(3))
  }
})

test('a log that is damaged is said to be, and never ignored', async () => {
  await assert.rejects(open({ ...plain, log: 'damaged' }),
    { code: 'disk-unreadable', message: /child\.avhdx .* its log is damaged/ })
})

test('a file that is shorter than its log says is said to be cut', async () => {
  const file = assembled(vhdxImage({ ...plain, log: 'pending' }))
  const cut = memorySource(file.subarray(0, file.length - MIB))
  await assert.rejects(openVhdx(cut, alone, signal),
    { code: 'disk-unreadable', message: /it was cut/ })
})

test('each of the two headers and tables is enough', async () => {
  for (const at of [64, 128, 192, 256]) {
    const file = assembled(vhdxImage(plain))
    file.fill(0, at * 1024 + 20, at * 1024 + 30)
    await using disk = await openVhdx(memorySource(file), alone, signal)
    assert.ok((await whole(disk)).equals(content))
  }
  for (const [first, second, why] of [
    [64, 128, /both of its headers/], [192, 256, /both of its tables/]] as const) {
    const file = assembled(vhdxImage(plain))
    for (const at of [first, second]) file.writeUInt8(1, at * 1024 + 20)
    await assert.rejects(openVhdx(memorySource(file), alone, signal), why)
  }
})

test('a chain that is broken is said to be, with the names', async () => {
  const child: VhdxImage = { ...plain, dataWriteGuid: GUIDS[1], blocks: new Map(),
    parent: { linkage: GUIDS[0], relativePath: 'C:\\x\\base.vhdx' } }
  await assert.rejects(open(child),
    { code: 'chain-broken', message: 'the parent of child.avhdx is not there: base.vhdx' })
  const changed = { ...plain, dataWriteGuid: GUIDS[2] }
  await assert.rejects(open(child, inMemory({ 'base.vhdx': changed })),
    { code: 'chain-broken', message: 'child.avhdx was not made from base.vhdx as it is now' })
  // One that names itself never ends.
  const loop = { ...child, dataWriteGuid: GUIDS[0] }
  await assert.rejects(open(loop, inMemory({ 'base.vhdx': loop })),
    { code: 'chain-broken', message: /more than 64 parents/ })
  const middle = { ...child, dataWriteGuid: GUIDS[0],
    parent: { linkage: GUIDS[3], relativePath: 'old.vhdx' } }
  await assert.rejects(open(child, inMemory({ 'base.vhdx': middle })),
    { code: 'chain-broken', message: 'the parent of base.vhdx is not there: old.vhdx' })
})

test('a parent is looked for by its name alone, wherever it is said to be', async () => {
  const asked: string[] = []
  const find: FindFile = (name) => {
    asked.push(name)
    return alone(name)
  }
  for (const relativePath of ['..\\..\\secret', '/etc/passwd', 'a\\..', '..', 'x\0y']) {
    await assert.rejects(open({ ...plain, blocks: new Map(),
      parent: { linkage: GUIDS[1], relativePath } }, find), { code: 'chain-broken' })
  }
  assert.deepEqual(asked, ['secret', 'passwd'])
})
