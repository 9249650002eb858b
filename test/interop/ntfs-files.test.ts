/** Files read out of NTFS, beside what ntfs-3g and its tools read of it. */

import assert from 'node:assert/strict'
import { mkdir, open, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { entryNamed, type Inode, type NtfsFileSystem, type NtfsInode } from '../../src/disk/mod.ts'
import { cannotMountNtfs as skip, insideNtfs, makeNtfs, runNtfs } from './mounted-ntfs.ts'
import { compareNtfs, compareNtfsOfPieces, contentOf, withTree } from './ntfs-contents.ts'
import { testFolder } from '../system/rig.ts'

for (const options of [[], ['-c', '512'], ['-s', '4096', '-c', '65536']]) {
  test(`what is read of NTFS ${options.join(' ')} is what ntfs-3g reads`, { skip },
    (t) => compareNtfs(100, options, t))
}

test('a master file table that lies in many pieces is followed', { skip },
  (t) => compareNtfsOfPieces(t))

async function made(
  t: TestContext, fill: (root: string) => Promise<void>, options = ''): Promise<string> {
  const path = join(await testFolder(t), 'image')
  await makeNtfs(path, 16)
  await insideNtfs(path, fill, options)
  return path
}

async function named(tree: NtfsFileSystem, name: string): Promise<NtfsInode> {
  const entry = entryNamed(tree, await tree.list(await tree.inode(tree.root)), name)
  return tree.inode(entry?.inode ?? assert.fail(`there is no ${name}`))
}

/** As `setfattr` wants it: hexadecimal. */
function reparsePoint(tag: number, data: Buffer): string {
  const head = Buffer.alloc(8)
  head.writeUInt32LE(tag)
  head.writeUInt16LE(data.length, 4)
  return `0x${Buffer.concat([head, data]).toString('hex')}`
}

test('names are found whatever their case, by the volume\'s own letters', { skip }, async (t) => {
  const path = await made(t, async (root) => {
    for (const name of ['Ünder.TXT', 'both', 'BOTH', 'straße']) {
      await writeFile(join(root, name), name)
    }
  })
  await withTree(path, t, async (tree) => {
    for (const [asked, found] of [
      ['üNDER.txt', 'Ünder.TXT'], ['both', 'both'], ['BOTH', 'BOTH'], ['STRAßE', 'straße'],
    ] as const) {
      assert.equal((await (await named(tree, asked)).read(0, 100)).toString(), found)
    }
    await assert.rejects(named(tree, 'STRASSE'), /there is no STRASSE/)
  })
})

test('what is not kept as it is read is refused, with the reason', { skip }, async (t) => {
  const path = await made(t, async (root) => {
    await mkdir(join(root, 'pressed'))
    await runNtfs('setfattr', '-n', 'system.ntfs_attrib_be', '-v', '0x00000800',
      join(root, 'pressed'))
    await writeFile(join(root, 'pressed', 'file'), 'a'.repeat(200_000))
    await writeFile(join(root, 'secret'), 'b'.repeat(20_000))
    for (const [name, tag] of [['system', 0x8000_0017], ['pooled', 0x8000_0013],
      ['cloud', 0x9000_001a]] as const) {
      await writeFile(join(root, name), '')
      await runNtfs('setfattr', '-n', 'system.ntfs_reparse_data', '-v',
        reparsePoint(tag, Buffer.alloc(16)), join(root, name))
    }
  }, ',compression')
  await encrypt(path)
  await withTree(path, t, async (tree) => {
    const refused = async (file: Inode, why: RegExp): Promise<void> => {
      await assert.rejects(file.read(0, 10), { code: 'disk-unreadable', message: why })
    }
    const [pressed] = await tree.list(await named(tree, 'pressed'))
    await refused(await tree.inode(pressed?.inode ?? 0), /a file in it is compressed$/)
    await refused(await named(tree, 'secret'), /a file in it is encrypted$/)
    await refused(await named(tree, 'system'), /is compressed \(CompactOS\)/)
    await refused(await named(tree, 'pooled'), /is deduplicated/)
    await refused(await named(tree, 'cloud'), /behind a reparse point \(0x9000001a\)/)
    await refused(await tree.inode(tree.root), /without contents/)
  })
})

/** Says of the contents of `secret`, the only file with such, that they are encrypted. */
async function encrypt(path: string): Promise<void> {
  await using file = await open(path, 'r+')
  const bytes = await readFile(path)
  const record = bytes.lastIndexOf('FILE0', bytes.indexOf(Buffer.from('secret', 'utf16le')))
  const attribute = bytes.indexOf(Buffer.from([0x80, 0, 0, 0, 0x48, 0, 0, 0, 1]), record)
  assert.ok(attribute > record && attribute < record + 1024)
  await file.write(Buffer.from([0, 0x40]), 0, 2, attribute + 12)
}

test('links say where they lead', { skip }, async (t) => {
  const shown = 'C:\\Data\\ä'
  const data = Buffer.alloc(12 + 2 * shown.length)
  data.writeUInt16LE(2 * shown.length, 6) // of the name that is shown; the other is empty
  data.write(shown, 12, 'utf16le')
  const path = await made(t, async (root) => {
    await writeFile(join(root, 'link'), '')
    await runNtfs('setfattr', '-n', 'system.ntfs_reparse_data', '-v',
      reparsePoint(0xa000_000c, data), join(root, 'link'))
    await symlink('some/where', join(root, 'linux'))
  }, ',special_files=wsl')
  await withTree(path, t, async (tree) => {
    for (const [name, target] of [['link', shown], ['linux', 'some/where']] as const) {
      const { kind, inlineTarget } = await named(tree, name)
      assert.deepEqual({ kind, inlineTarget }, { kind: 'link', inlineTarget: target })
    }
  })
})

test('a removed file\'s number is not that of the file that came after it', { skip }, async (t) => {
  const path = await made(t, async (root) => { await writeFile(join(root, 'first'), '1') })
  const old = await withTree(path, t, async (tree) =>
    entryNamed(tree, await tree.list(await tree.inode(tree.root)), 'first')?.inode ?? 0)
  await insideNtfs(path, async (root) => {
    await runNtfs('rm', join(root, 'first'))
    await writeFile(join(root, 'second'), '2')
  })
  await withTree(path, t, async (tree) => {
    const second = await named(tree, 'second')
    assert.equal((await contentOf(tree, old % 2 ** 32)).toString(), '2')
    assert.equal((await second.read(0, 9)).toString(), '2')
    await assert.rejects(tree.inode(old), { code: 'disk-unreadable', message: /not in use/ })
  })
})
