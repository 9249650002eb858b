/** All that is in a file system, as the kernel reads it and as we do. */

import { mkdir, open, readdir, readFile, readlink, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { FileTree } from '../../src/disk/mod.ts'

/** By path: a file's contents, a link's target, `folder`. */
export type Contents = Map<string, string>

export async function theirs(
  path: string, prefix = '', found: Contents = new Map()): Promise<Contents> {
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

export async function ours(
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
export async function fill(mountpoint: string): Promise<void> {
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
