/** VHD of our own writer: fixed, dynamic and with a parent; what is damaged or broken. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { BlockSource } from '../block-source.ts'
import { contractContent, testBlockSource } from '../testing/contract.ts'
import { memorySource } from '../testing/memory-disk.ts'
import { vhdImage, type VhdImage } from '../testing/vhd-image.ts'
import { assembled } from '../testing/vhdx-image.ts'
import type { FindFile } from './parent-chain.ts'
import { openVhd } from './vhd-source.ts'

const BLOCK = 2 ** 20
const signal = new AbortController().signal
const IDS = ['a1', 'b2', 'c3'].map((byte) => byte.repeat(16)) as [string, string, string]
const content = contractContent()
const alone: FindFile = async function* () {}

function blocksOf(
  bytes: Uint8Array, blockBytes: number, has?: (sector: number) => boolean): VhdImage['blocks'] {
  const count = Math.ceil(bytes.length / blockBytes)
  return new Map(Array.from({ length: count }, (_, n) => [n, {
    bytes: Buffer.concat([bytes.subarray(n * blockBytes, (n + 1) * blockBytes)], blockBytes),
    ...has === undefined ? {}
      : { has: (sector: number) => has(n * blockBytes / 512 + sector) } }] as const)
    .filter(([, { bytes }]) => has !== undefined || bytes.some((byte) => byte !== 0)))
}

const dynamic: VhdImage = {
  sizeBytes: content.length, id: IDS[0], blockBytes: BLOCK, blocks: blocksOf(content, BLOCK) }
const child: VhdImage = { ...dynamic, id: IDS[1], parent: { id: IDS[0], name: 'base.vhd' },
  blocks: blocksOf(content, BLOCK, (sector) => sector % 5 < 2) }
const fixed: VhdImage = { ...dynamic, blockBytes: undefined, blocks: new Map([[0, {
  bytes: content }]]) }

function inMemory(image: VhdImage): FindFile {
  return async function* (name) {
    if (name === 'base.vhd') yield memorySource(assembled(vhdImage(image)), { name })
  }
}

function open(image: VhdImage, find = alone): Promise<BlockSource> {
  return openVhd(memorySource(assembled(vhdImage(image)), { name: 'child.avhd' }), find, signal)
}

/** Other bytes in the sectors that the child has. */
function parent(): VhdImage {
  const old = content.slice()
  for (let sector = 0; sector * 512 < old.length; sector++) {
    if (sector % 5 < 2) old.fill(0xee, sector * 512, (sector + 1) * 512)
  }
  return { ...dynamic, blockBytes: 4096, blocks: blocksOf(old, 4096) }
}

testBlockSource('fixed VHD', () => open(fixed))
testBlockSource('dynamic VHD', () => open(dynamic))
testBlockSource('differencing VHD', () => open(child, inMemory(parent())))

test('the footer at the beginning is enough where the end was lost', async () => {
  const file = assembled(vhdImage(dynamic))
  await using disk = await openVhd(
    memorySource(file.subarray(0, file.length - 512)), alone, signal)
  assert.ok(Buffer.from(await disk.read(0, disk.sizeBytes, signal)).equals(content))
  file.fill(0, 60, 70)
  await assert.rejects(
    openVhd(memorySource(file.subarray(0, file.length - 512)), alone, signal),
    { code: 'disk-unreadable', message: /it has no footer that is whole/ })
})

test('a broken chain, a damaged header and blocks outside of the file are said', async () => {
  await assert.rejects(open(child),
    { code: 'chain-broken', message: 'the parent of child.avhd is not there: base.vhd' })
  await assert.rejects(open(child, inMemory({ ...dynamic, id: IDS[2] })),
    { code: 'chain-broken', message: 'child.avhd was not made from base.vhd as it is now' })
  const file = assembled(vhdImage(dynamic))
  file.writeUInt8(9, 512 + 100)
  await assert.rejects(openVhd(memorySource(file), alone, signal), /its header is damaged/)
  const other = assembled(vhdImage(dynamic))
  other.writeUInt32BE(2 ** 31, 1536)
  await using disk = await openVhd(memorySource(other), alone, signal)
  await assert.rejects(disk.read(0, 1, signal),
    { code: 'disk-unreadable', message: /a block of it lies outside/ })
})
