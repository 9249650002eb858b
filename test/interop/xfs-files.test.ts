/** Files read out of a frozen XFS, beside what the kernel reads of it. */

import assert from 'node:assert/strict'
import { mkdir, open, readdir, readFile, readlink, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import {
  openRawSource, windowOf, XfsFileSystem, type FileTree,
} from '../../src/disk/mod.ts'
import { missingProgram } from '../../src/disk/testing/mod.ts'
import { MountedImage } from './mounted-image.ts'

const skip = process.getuid?.() === 0
  ? missingProgram('mkfs.xfs', 'fsfreeze') : 'only root can mount images'

/** By path: a file's contents, a link's target, `folder`. */
type Contents = Map<string, string>

async function theirs(path: string, prefix = '', found: Contents = new Map()): Promise<Contents> {
  for (const entry of await readdir(path, { withFileTypes: true })) {
    const [at, name] = [join(path, entry.name), `${prefix}/${entry.name}`]
    if (entry.isDirectory()) {
      found.set(name, 'folder')
      await theirs(at, name, found)
    } else {
      found.set(name, entry.isSymbolicLink()
        ? `to ${await readlink(at)}` : (await readFile(at)).toString('latin1'))
    }
  }
  return found
}

async function ours(
  tree: FileTree, number = tree.root, prefix = '', found: Contents = new Map()): Promise<Contents> {
  for (const { name, inode } of await tree.list(await tree.inode(number))) {
    const file = await tree.inode(inode)
    const path = `${prefix}/${name}`
    if (file.kind === 'folder') {
      found.set(path, 'folder')
      await ours(tree, inode, path, found)
    } else {
      found.set(path, file.inlineTarget === undefined
        ? (await file.read(0, file.sizeBytes)).toString('latin1') : `to ${file.inlineTarget}`)
    }
  }
  return found
}

/** Folders of each form, files of one extent and of hundreds, with holes, removed ones between. */
async function fill(mountpoint: string): Promise<void> {
  for (const [folder, count] of [['few', 3], ['some', 40], ['many', 3000]] as const) {
    await mkdir(join(mountpoint, folder))
    for (let n = 0; n < count; n++) {
      await writeFile(join(mountpoint, folder, `file with a name ${n}`), `content ${n}`)
    }
  }
  for (let n = 100; n < 2500; n += 3) {
    await rm(join(mountpoint, 'many', `file with a name ${n}`))
  }
  await symlink('few/file with a name 1', join(mountpoint, 'link'))
  await writeFile(join(mountpoint, 'large'), Buffer.alloc(5_000_001, 'large'))
  await using file = await open(join(mountpoint, 'scattered'), 'w')
  for (let n = 0; n < 1500; n++) await file.write(`piece ${n}`, n * 8192 + (n % 7))
}

async function compare(options: readonly string[], t: TestContext): Promise<void> {
  await using image = await MountedImage.create('xfs', ['-q', ...options])
  await fill(image.mountpoint)
  const path = await image.frozenCopy('frozen')
  await using source = await openRawSource(path, t.signal)
  const tree = await XfsFileSystem.open(windowOf(source, 0, source.sizeBytes, t.signal))
  const [found, expected] = [await ours(tree), await theirs(image.mountpoint)]
  t.diagnostic(`${found.size} files and folders`)
  assert.deepEqual([...found.keys()].toSorted(), [...expected.keys()].toSorted())
  for (const [name, content] of found) {
    assert.ok(content === expected.get(name), `${name} differs`)
  }
}

for (const options of [[], ['-b', 'size=1024', '-n', 'size=8192', '-i', 'nrext64=1']]) {
  test(`what is read of an XFS ${options.join(' ')} is what the kernel reads`, { skip },
    (t) => compare(options, t))
}

test('an XFS with an inode that was changed is refused', { skip }, async (t) => {
  await using image = await MountedImage.create('xfs', ['-q'])
  const path = await image.frozenCopy('frozen')
  {
    await using file = await open(path, 'r+')
    const bytes = await readFile(path)
    const at = bytes.indexOf('IN\x41\xed', 0, 'latin1') // the root folder, mode 0755
    await file.write(Buffer.from([1]), 0, 1, at + 60)
  }
  await using source = await openRawSource(path, t.signal)
  const tree = await XfsFileSystem.open(windowOf(source, 0, source.sizeBytes, t.signal))
  await assert.rejects(ours(tree), { code: 'disk-unreadable', message: /checksum of inode/ })
})
