/** What is read of an NTFS, by us and by ntfs-3g and its tools. */

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdir, open, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { errnoOf } from '../../src/base/errno.ts'
import { runProgram } from '../../src/base/program.ts'
import { NtfsFileSystem, openRawSource, windowOf } from '../../src/disk/mod.ts'
import { insideNtfs, makeNtfs, runNtfs } from './mounted-ntfs.ts'
import { testFolder } from '../system/rig.ts'

const PIECE = 2 ** 20
/** More than is free in one piece before what `junk` lay on. */
const ALLOCATED = 6_000_000
/** As long as names can be, with letters of two units, and with some that few know cases of. */
const LONG = ['ä'.repeat(255), `${'𝒳'.repeat(127)}.`, 'CON ünd Ϣ.txt', '名'.repeat(85)]

/** By path: `folder`, or a file's length and hash. */
type Contents = Map<string, string>

function told(bytes: Uint8Array): string {
  return `${bytes.length} ${createHash('sha256').update(bytes).digest('hex')}`
}

async function theirs(path: string, prefix = '', found: Contents = new Map()): Promise<Contents> {
  for (const entry of await readdir(path, { withFileTypes: true })) {
    const [at, name] = [join(path, entry.name), `${prefix}/${entry.name}`]
    if (entry.isDirectory()) {
      found.set(name, 'folder')
      await theirs(at, name, found)
    } else found.set(name, told(await readFile(at)))
  }
  return found
}

async function ours(
  tree: NtfsFileSystem, number: number = tree.root, prefix = '', found: Contents = new Map(),
): Promise<Contents> {
  for (const { name, inode } of await tree.list(await tree.inode(number))) {
    if (prefix === '' && name.startsWith('$')) continue // its own, which a mount does not show
    const file = await tree.inode(inode)
    const path = `${prefix}/${name}`
    assert.ok(!found.has(path), `${path} is there twice`)
    if (file.kind === 'folder') {
      found.set(path, 'folder')
      await ours(tree, inode, path, found)
    } else found.set(path, told(await contentOf(tree, inode)))
  }
  return found
}

export async function contentOf(tree: NtfsFileSystem, number: number): Promise<Buffer> {
  const file = await tree.inode(number)
  const pieces: Buffer[] = []
  for (let at = 0; at < file.sizeBytes; at += PIECE) pieces.push(await file.read(at, PIECE))
  return Buffer.concat(pieces)
}

export async function withTree<T>(
  path: string, t: TestContext, work: (tree: NtfsFileSystem) => Promise<T>): Promise<T> {
  await using source = await openRawSource(path, t.signal)
  return await work(
    await NtfsFileSystem.open(windowOf(source, 0, source.sizeBytes, t.signal)))
}

/** Folders of one block and of many, files of no run and of thousands, holes, what was removed. */
async function fill(mountpoint: string): Promise<void> {
  for (const [folder, count] of [
    ['few', 3], ['some', 40], ['many', 700], ['emptied', 200]] as const) {
    await mkdir(join(mountpoint, folder))
    for (let n = 0; n < count; n++) {
      await writeFile(join(mountpoint, folder, `file with a name ${n}`), `content ${n}`)
    }
  }
  for (let n = 100; n < 600; n += 3) {
    await rm(join(mountpoint, 'many', `file with a name ${n}`))
  }
  // Of its index all blocks but a few are free, with what was in them.
  for (let n = 3; n < 200; n++) await rm(join(mountpoint, 'emptied', `file with a name ${n}`))
  for (const name of LONG) await writeFile(join(mountpoint, name), name)
  await writeFile(join(mountpoint, 'large'), Buffer.alloc(3_000_001, 'large'))
  await writeFile(join(mountpoint, 'empty'), '')
  await writeFile(join(mountpoint, 'allocated'), 'written')
  // Removed again, so that what is allocated later and never written lies on something.
  await writeFile(join(mountpoint, 'junk'), Buffer.alloc(8_000_000, 'junk'))
  await rm(join(mountpoint, 'junk'))
  await using file = await open(join(mountpoint, 'scattered'), 'w')
  await using other = await open(join(mountpoint, 'between'), 'w')
  for (let n = 0; n < 900; n++) {
    await file.write(`piece ${n}`, n * 8192 + (n % 7))
    await other.write(Buffer.alloc(600, `${n}`), 0, 600, n * 600)
  }
  await file.truncate(40_000_000) // a hole at the end, and nothing ever written there
}

/** Makes one, fills it, and compares every file, the system's own, and the map of clusters. */
export async function compareNtfs(
  sizeMiB: number, options: readonly string[], t: TestContext): Promise<void> {
  const path = join(await testFolder(t), 'image')
  await makeNtfs(path, sizeMiB, options)
  const expected = await insideNtfs(path, async (mountpoint) => {
    await fill(mountpoint)
    return theirs(mountpoint)
  })
  await runNtfs('ntfsfallocate', '-q', '-l', String(ALLOCATED), path, 'allocated')
  expected.set('/allocated', told(Buffer.concat([Buffer.from('written')], ALLOCATED)))
  const isInPieces = (await runNtfs('ntfsinfo', '-F', '/scattered', path))
    .includes('$ATTRIBUTE_LIST')
  // Larger clusters take several of its pieces each.
  const wantsPieces = !options.includes('65536') && !options.includes('2097152')
  assert.equal(isInPieces, wantsPieces, 'a file of many pieces is what is wanted')
  await compareContents(path, expected, t)
}

/** The same of one whose master file table had to be put into what was free between files. */
export async function compareNtfsOfPieces(t: TestContext): Promise<void> {
  const path = join(await testFolder(t), 'image')
  await makeNtfs(path, 8, ['-c', '1024'])
  const expected = await insideNtfs(path, async (mountpoint) => {
    const full = await untilFull((n) => writeFile(join(mountpoint, `f${n}`), 'x'.repeat(1400)))
    for (let n = 0; n < full; n += 3) await truncate(join(mountpoint, `f${n}`))
    await untilFull((n) => writeFile(join(mountpoint, n.toString(16)), ''))
    return theirs(mountpoint)
  })
  assert.match(await runNtfs('ntfsinfo', '-i', '0', path), /\$ATTRIBUTE_LIST/)
  await compareContents(path, expected, t)
}

/** How often it could be done before there was no room. */
async function untilFull(step: (n: number) => Promise<void>): Promise<number> {
  for (let n = 0; ; n++) {
    try {
      await step(n)
    } catch (error) {
      assert.equal(errnoOf(error), 'ENOSPC')
      return n
    }
  }
}

async function compareContents(path: string, expected: Contents, t: TestContext): Promise<void> {
  await withTree(path, t, async (tree) => {
    const found = await ours(tree)
    t.diagnostic(`${found.size} files and folders; log ${tree.log}`)
    assert.deepEqual([...found.keys()].toSorted(), [...expected.keys()].toSorted())
    for (const [name, content] of found) assert.equal(content, expected.get(name), name)
    await checkSystemFiles(path, tree)
  })
}

/** Its own files by ntfscat, the names by ntfsls, the used clusters by what ntfsinfo counts. */
async function checkSystemFiles(path: string, tree: NtfsFileSystem): Promise<void> {
  const names = (await tree.list(await tree.inode(tree.root)))
  const listed = (await runNtfs('ntfsls', '-s', '-a', '-f', path)).split('\n')
    .filter((name) => !['', '.', '..'].includes(name))
  assert.deepEqual(names.map(({ name }) => name).toSorted(), listed.toSorted())
  const [, clusters = '', free = ''] =
    /Volume Size in Clusters: (\d+)[^]*Free Clusters: (\d+)/.exec(
      await runNtfs('ntfsinfo', '-m', path)) ?? []
  let used = 0
  for await (const { length } of tree.used()) used += length
  assert.equal(used, (Number(clusters) - Number(free)) * tree.clusterBytes)
  for (const [name, number] of [['$LogFile', 2], ['$Bitmap', 6], ['$UpCase', 10]] as const) {
    const inode = names.find((entry) => entry.name === name)?.inode ?? -1
    const { stdout } = await runProgram('ntfscat', ['-i', String(number), path], {
      signal: new AbortController().signal, maxOutputBytes: 64 * 2 ** 20 })
    assert.equal(told(await contentOf(tree, inode)), told(stdout), name)
  }
}
