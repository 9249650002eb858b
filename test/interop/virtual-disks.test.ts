/** VHD and VHDX, also with parents and with logs that are pending, beside QEMU and libvhdi. */

import assert from 'node:assert/strict'
import { copyFile, open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { openVirtualDisk } from '../../src/disk/mod.ts'
import { missingProgram, rawCrc32c, vhdxImage, type VhdxBlock } from '../../src/disk/testing/mod.ts'
import { testFolder } from '../system/rig.ts'
import {
  checkPattern, hashRanges, MIB, pattern, run, startLibvhdi, whyNoLibvhdi, writePieces,
} from './virtual-disks.ts'

const skip = missingProgram('qemu-img', 'qemu-io') || await whyNoLibvhdi()
const PATTERNS = 50

test(`${PATTERNS} patterns of writes are read as QEMU and libvhdi read them`, { skip },
  async (t) => {
    const folder = await testFolder(t)
    await using libvhdi = startLibvhdi()
    await fc.assert(fc.asyncProperty(pattern, (it) => checkPattern(it, folder, 'disk', libvhdi)),
      { numRuns: PATTERNS })
  })

test('a disk of several chunks of blocks is read as libvhdi reads it', { skip }, async (t) => {
  const folder = await testFolder(t)
  const paths = [join(folder, 'child.avhdx'), join(folder, 'base.vhdx')] as const
  const plain = { sizeBytes: 9 * 2 ** 30, blockBytes: MIB, sectorBytes: 512 } as const
  const block = (fill: number): Uint8Array => new Uint8Array(MIB).map((_, at) => at * fill >> 3)
  // The chunks end after 4096 blocks.
  const numbers = [0, 4095, 4096, 8191, 8192, 9215]
  const blocks = (fill: number, isChild: boolean): ReadonlyMap<number, VhdxBlock> =>
    new Map(numbers.map((number) => [number, isChild
      ? { state: 'partial', bytes: block(fill), has: (sector) => (sector ^ number) % 7 < 3 }
      : { state: 'present', bytes: block(fill + number) }]))
  const guids = ['aaaaaaaa-1111-4111-8111-111111111111',
    'bbbbbbbb-1111-4111-8111-111111111111'] as const
  await writePieces(paths[1], vhdxImage({ ...plain, dataWriteGuid: guids[1],
    blocks: blocks(3, false) }))
  await writePieces(paths[0], vhdxImage({ ...plain, dataWriteGuid: guids[0],
    blocks: blocks(200, true), parent: { linkage: guids[1], relativePath: '.\\BASE.VHDX' } }))
  await using source = await openVirtualDisk(paths[0], 'vhdx', [], t.signal)
  assert.equal(source.sizeBytes, plain.sizeBytes)
  const ranges = numbers.map((number) => [Math.max(0, number * MIB - 700), MIB] as const)
  await using libvhdi = startLibvhdi()
  assert.equal(await hashRanges(source, ranges), await libvhdi.ask(paths, ranges))
})

test('a log of QEMU\'s is replayed as qemu-img repairs it', { skip }, async (t) => {
  const path = join(await testFolder(t), 'killed.vhdx')
  await run('qemu-img', 'create', '-q', '-f', 'vhdx', '-o', 'block_size=1M', path, '8M')
  await run(
    'qemu-io', '-f', 'vhdx', '-c', 'write -q -P 1 0 3M', '-c', 'write -q -P 2 5M 100k', path)
  await announceLog(path)
  await assert.rejects(run('qemu-img', 'convert', '-f', 'vhdx', '-O', 'raw', path, `${path}.raw`),
    /log that needs to be replayed/)
  await copyFile(path, `${path}.repaired`)
  await run('qemu-img', 'check', '-q', '-r', 'all', '-f', 'vhdx', `${path}.repaired`)
  await run('qemu-img', 'convert', '-f', 'vhdx', '-O', 'raw', `${path}.repaired`, `${path}.raw`)
  await using source = await openVirtualDisk(path, 'vhdx', [], t.signal)
  const read = Buffer.from(await source.read(0, source.sizeBytes, t.signal))
  assert.equal(read[0], 1)
  assert.ok(read.equals(await readFile(`${path}.raw`)))
})

/**
 * As if QEMU had been killed before it put in place what its log holds and said that it has: the
 * newer header names the log, and the table of blocks that the log puts in place is empty.
 */
async function announceLog(path: string): Promise<void> {
  const bytes = await readFile(path)
  const newer = bytes.readBigUInt64LE(65_536 + 8) > bytes.readBigUInt64LE(131_072 + 8)
    ? 65_536 : 131_072
  const header = Buffer.from(bytes.subarray(newer, newer + 4096))
  bytes.copy(header, 48, MIB + 32, MIB + 48) // of the entry at the log's beginning
  header.writeUInt32LE(0, 4)
  header.writeUInt32LE(~rawCrc32c(header) >>> 0, 4)
  await using file = await open(path, 'r+')
  await file.write(header, 0, header.length, newer)
  const batAt = Number(bytes.readBigUInt64LE(192 * 1024 + 32))
  await file.write(Buffer.alloc(4096), 0, 4096, batAt)
}
