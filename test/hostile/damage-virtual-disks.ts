/** VHD and VHDX damaged by seed: a fault and never more. */

import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { isFault } from '../../src/base/fault.ts'
import { isZero } from '../../src/base/zero.ts'
import { openVhd, openVhdx, type FindFile } from '../../src/disk/mod.ts'
import { assembled, rawCrc32c, vhdImage, vhdxImage } from '../../src/disk/testing/mod.ts'
import { damage, SECTOR } from './damage.ts'
import { Dice } from './mutate.ts'
import { SparseImage } from './sparse-image.ts'
import { watchedSource } from './watched-source.ts'

const MIB = 2 ** 20
const MOST = { bytes: 256 * MIB, reads: 20_000 }
const PARENT_ID = 'aaaaaaaa-1111-4111-8111-111111111111'
const CHILD_ID = 'bbbbbbbb-1111-4111-8111-111111111111'
const bytes = Buffer.alloc(MIB, 'content')
const has = (sector: number): boolean => sector % 3 === 0

interface Subject {
  readonly open: typeof openVhdx
  readonly parent: SparseImage
  readonly image: SparseImage
  /** Makes the checksums right again. */
  readonly reseal: (image: SparseImage) => void
}

function vhdx(): Subject {
  const plain = { sizeBytes: 3 * MIB, blockBytes: MIB, sectorBytes: 512 } as const
  return {
    open: openVhdx,
    parent: SparseImage.of(assembled(vhdxImage({ ...plain, dataWriteGuid: PARENT_ID,
      blocks: new Map([[1, { state: 'present', bytes }]]) }))),
    image: SparseImage.of(assembled(vhdxImage({ ...plain, dataWriteGuid: CHILD_ID, log: 'pending',
      parent: { linkage: PARENT_ID, relativePath: 'parent' },
      blocks: new Map([
        [0, { state: 'partial', bytes, has }], [2, { state: 'present', bytes }]]) }))),
    reseal: (image) => {
      const seal = (at: number, length: number): void => {
        const part = image.bytes(at, length)
        part.writeUInt32LE(0, 4)
        part.writeUInt32LE(~rawCrc32c(part) >>> 0, 4)
        image.put(at, part)
      }
      for (const at of [64, 128]) seal(at * 1024, 4096)
      for (const at of [192, 256]) seal(at * 1024, 65_536)
      for (let at = MIB; at < 2 * MIB; at += 4096) {
        const head = image.bytes(at, 16)
        const length = head.readUInt32LE(8)
        const isEntry = head.toString('latin1', 0, 4) === 'loge' && at + length <= 2 * MIB
        if (isEntry && length >= 4096) seal(at, length)
      }
    },
  }
}

function vhd(): Subject {
  const [parentId, id] = ['a1'.repeat(16), 'b2'.repeat(16)]
  const plain = { sizeBytes: 3 * MIB, blockBytes: MIB } as const
  return {
    open: openVhd,
    parent: SparseImage.of(assembled(
      vhdImage({ ...plain, id: parentId, blocks: new Map([[1, { bytes }]]) }))),
    image: SparseImage.of(assembled(vhdImage({
      ...plain, id, parent: { id: parentId, name: 'parent' },
      blocks: new Map([[0, { bytes, has }], [2, { bytes }]]) }))),
    reseal: (image) => {
      const seal = (at: number, length: number, field: number): void => {
        const part = image.bytes(at, length)
        part.writeUInt32BE(0, field)
        part.writeUInt32BE(~part.reduce((sum, byte) => sum + byte, 0) >>> 0, field)
        image.put(at, part)
      }
      for (const at of [0, image.sizeBytes - 512]) seal(at, 512, 64)
      seal(512, 1024, 36)
    },
  }
}

export const VIRTUAL_DISKS = { vhdx, vhd }

/** Damages copies by each seed up to `seeds`, and reads what can be read of them. */
export async function damageVirtualDisk(
  subject: Subject, seeds: number, t: TestContext): Promise<void> {
  const { image, reseal } = subject
  // Contents are not what is damaged.
  const places = Array.from({ length: Math.floor(image.sizeBytes / SECTOR) }, (_, n) =>
    ({ offset: n * SECTOR, length: SECTOR })).filter(({ offset }) => {
    const sector = image.bytes(offset, SECTOR)
    return !isZero(sector) && !sector.includes('content')
  })
  const outcomes = new Set<string>()
  for (let seed = 1; seed <= seeds; seed++) {
    const dice = new Dice(seed)
    const copy = image.copy()
    for (let n = dice.below(3); n >= 0; n--) damage(copy, dice.pick(places), dice)
    if (dice.below(4) > 0) reseal(copy)
    outcomes.add((await readSome(subject, copy, t)).replace(/\d+/g, 'n'))
  }
  t.diagnostic(`${places.length} sectors; ${[...outcomes].toSorted().join('; ')}`)
  assert.ok(outcomes.size > 3, 'damage was not seen')
}

/** What is at the beginning of its blocks and at its end, which may be far off. */
async function readSome(
  { open, parent }: Subject, image: SparseImage, t: TestContext): Promise<string> {
  const find: FindFile = async function* (name) {
    if (name === 'parent') yield watchedSource(parent, [], MOST)
  }
  try {
    await using disk = await open(watchedSource(image, [], MOST), find, t.signal)
    const length = Math.min(disk.sizeBytes, 100_000)
    for (const at of [0, MIB, 2 * MIB, disk.sizeBytes - length]) {
      const range = { offset: Math.min(at, disk.sizeBytes - length), length }
      for await (const extent of disk.extents?.(range, t.signal) ?? []) assert.ok(extent.length > 0)
      await disk.read(range.offset, range.length, t.signal)
    }
    return 'read'
  } catch (error) {
    if (!isFault(error, 'disk-unreadable', 'chain-broken')) throw error
    assert.doesNotMatch(error.message, /\p{Cc}|\u202e/u)
    return error.message
  }
}
