/** File systems with files, damaged where they are read, by seed: a fault and never more. */

import assert from 'node:assert/strict'
import { mkdir, open, symlink, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { isFault } from '../../src/base/fault.ts'
import { runProgram } from '../../src/base/program.ts'
import { isZero } from '../../src/base/zero.ts'
import {
  BtrfsFileSystem, ExtFileSystem, normalise, NtfsFileSystem, windowOf, XfsFileSystem,
  type BlockSource, type FileTree, type Range, type Window,
} from '../../src/disk/mod.ts'
import { rawCrc32c } from '../../src/disk/testing/mod.ts'
import { insideNtfs, makeNtfs } from '../interop/mounted-ntfs.ts'
import { testFolder } from '../system/rig.ts'
import { damage, SECTOR } from './damage.ts'
import { Dice } from './mutate.ts'
import { SparseImage } from './sparse-image.ts'
import { watchedSource } from './watched-source.ts'

const MIB = 2 ** 20
/** What a damaged folder may lead on to before the walk gives up. */
const MAX_VISITS = 3000
const MOST = { bytes: 1024 * MIB }
const PIECE = 64 * 1024
/** Of one read: a longer one is of contents, or of a table of letters. */
const MOST_AT_ONCE = 8192

export interface FileSubject {
  readonly image: SparseImage
  readonly open: (window: Window) => Promise<FileTree>
  /** Makes the checksums of inodes right again, so that what is behind them is reached. */
  readonly reseal: (image: SparseImage, places: readonly Range[]) => void
}

/** A folder with 120 files, one of them of two extents, a deep folder and two links. */
export async function extWithFiles(t: TestContext): Promise<FileSubject> {
  const folder = await testFolder(t)
  const content = join(folder, 'content')
  await mkdir(join(content, 'a', 'b'), { recursive: true })
  for (let n = 0; n < 120; n++) {
    // Few have contents: what is damaged shall be what leads to them.
    await writeFile(join(content, 'a', `file ${n}`), n % 40 === 7 ? 'x'.repeat(5000) : '')
  }
  const path = join(folder, 'image')
  const { signal } = t
  await runProgram('mke2fs', ['-q', '-F', '-t', 'ext4', '-d', content, path, '16M'], { signal })
  // With a journal to replay.
  const blocks = await runProgram('debugfs', ['-R', 'blocks /a', path], { signal })
  const [block = ''] = Buffer.from(blocks.stdout).toString().trim().split(' ')
  await writeFile(join(folder, 'block'), Buffer.alloc(4096))
  await runProgram('debugfs', ['-R', 'dump /a block', path], { signal, cwd: folder })
  await runProgram('debugfs', ['-w', '-f', '-', path], {
    signal, cwd: folder, input: `jo -c -v 3\njw -b ${block} block\njc\n` })
  return {
    image: await SparseImage.read(path), open: (window) => ExtFileSystem.open(window),
    reseal: () => {} }
}

/** By the prototype of mkfs.xfs, so that no kernel is needed. */
export async function xfsWithFiles(t: TestContext): Promise<FileSubject> {
  const folder = await testFolder(t)
  await writeFile(join(folder, 'content'), Buffer.alloc(6000)) // zeros: they are not damaged
  const files = Array.from({ length: 120 }, (_, n) =>
    `file${n} ---644 0 0 ${join(folder, 'content')}`)
  const prototype = ['/none', '0 0', 'd--755 0 0', 'a d--755 0 0', ...files, '$',
    'few d--755 0 0', ...files.slice(0, 2), '$', 'link l--777 0 0 a/file1', '$', '']
  await writeFile(join(folder, 'prototype'), prototype.join('\n'))
  const path = join(folder, 'image')
  await writeFile(path, '')
  await truncate(path, 320 * MIB)
  await runProgram('mkfs.xfs', ['-q', '-p', join(folder, 'prototype'), path], { signal: t.signal })
  return {
    image: await SparseImage.read(path), open: (window) => XfsFileSystem.open(window),
    reseal: resealXfs }
}

/** A folder of some blocks, a small one, and a file in so many pieces that a list is needed. */
export async function ntfsWithFiles(t: TestContext): Promise<FileSubject> {
  const path = join(await testFolder(t), 'image')
  await makeNtfs(path, 8)
  await insideNtfs(path, async (root) => {
    await mkdir(join(root, 'a', 'b'), { recursive: true })
    for (let n = 0; n < 120; n++) {
      await writeFile(join(root, 'a', `file ${n}`), n % 40 === 7 ? Buffer.alloc(5000) : '')
    }
    await using file = await open(join(root, 'scattered'), 'w')
    for (let n = 0; n < 300; n++) await file.write('\0', n * 12_288 + n % 2 * 4096)
  })
  return {
    image: await SparseImage.read(path), reseal: () => {}, open: async (window) => {
      const tree = await NtfsFileSystem.open(window)
      for await (const { length } of tree.used()) assert.ok(length > 0)
      return tree
    } }
}

/** By mkfs.btrfs, so that no kernel is needed: a folder of some nodes, one in it, a link. */
export async function btrfsWithFiles(t: TestContext): Promise<FileSubject> {
  const folder = await testFolder(t)
  const content = join(folder, 'content')
  await mkdir(join(content, 'a', 'b'), { recursive: true })
  for (let n = 0; n < 120; n++) {
    await writeFile(join(content, 'a', `file ${n}`), n % 40 === 7 ? Buffer.alloc(5000) : '')
  }
  await symlink('a/file 1', join(content, 'link'))
  const path = join(folder, 'image')
  await writeFile(path, '')
  await truncate(path, 128 * MIB)
  await runProgram('mkfs.btrfs', ['-q', '-n', '4096', '--rootdir', content, path],
    { signal: t.signal })
  return {
    image: await SparseImage.read(path), open: (window) => BtrfsFileSystem.open(window),
    reseal: resealBtrfs }
}

/** Nodes, and the superblock, which has the same place for its checksum. */
function resealBtrfs(image: SparseImage, places: readonly Range[]): void {
  for (const { offset } of places) {
    const node = image.bytes(offset - offset % 4096, 4096)
    node.writeUInt32LE(~rawCrc32c(node.subarray(32)) >>> 0, 0)
    image.put(offset - offset % 4096, node)
  }
}

function resealXfs(image: SparseImage, places: readonly Range[]): void {
  for (const { offset } of places) {
    const inode = image.bytes(offset - offset % SECTOR, SECTOR)
    if (inode.readUInt16BE(0) !== 0x494e) continue
    inode.writeUInt32LE(0, 100)
    inode.writeUInt32LE(~rawCrc32c(inode) >>> 0, 100)
    image.put(offset - offset % SECTOR, inode)
  }
}

/** What is read of it in all; a fault if that comes first. */
async function readAll(
  { open }: FileSubject, source: BlockSource, t: TestContext): Promise<string> {
  try {
    const tree = await open(windowOf(source, 0, source.sizeBytes, t.signal))
    const ahead = [tree.root]
    let [visits, bytes] = [0, 0]
    for (let number = ahead.pop(); number !== undefined; number = ahead.pop()) {
      if (++visits > MAX_VISITS) return 'round and round'
      const inode = await tree.inode(number)
      if (inode.kind === 'folder') {
        ahead.push(...(await tree.list(inode)).map((entry) => entry.inode))
      } else if (inode.kind === 'file') bytes += (await inode.read(0, PIECE)).length
    }
    return `${visits} read, ${bytes} bytes`
  } catch (error) {
    if (!isFault(error, 'disk-unreadable')) throw error
    assert.doesNotMatch(error.message, /\p{Cc}|\u202e/u)
    return error.message
  }
}

/** Damages copies by each seed up to `seeds`. */
export async function damageAndRead(
  subject: FileSubject, seeds: number, t: TestContext): Promise<void> {
  const { image, reseal } = subject
  const ranges: Range[] = []
  const intact = await readAll(subject, watchedSource(image, ranges, MOST), t)
  const places = normalise(ranges.map(({ offset, length }) =>
    ({ offset, length: Math.min(length, MOST_AT_ONCE) }))).flatMap(({ offset, length }) =>
    Array.from({ length: Math.ceil(length / SECTOR) }, (_, n) =>
      ({ offset: offset + n * SECTOR, length: Math.min(SECTOR, length - n * SECTOR) })))
    .filter(({ offset, length }) => !isZero(image.bytes(offset, length)))
  const outcomes = new Set<string>()
  for (let seed = 1; seed <= seeds; seed++) {
    const dice = new Dice(seed)
    const copy = image.copy()
    const chosen = Array.from({ length: 1 + dice.below(3) }, () => dice.pick(places))
    for (const place of chosen) damage(copy, place, dice)
    if (dice.below(4) > 0) reseal(copy, chosen)
    outcomes.add((await readAll(subject, watchedSource(copy, [], MOST), t)).replace(/\d+/g, 'n'))
  }
  t.diagnostic(`${intact}; ${places.length} sectors; ${[...outcomes].toSorted().join('; ')}`)
  assert.ok(outcomes.size > 5, 'damage was not seen')
}
