/** Files read out of a frozen btrfs, beside what the kernel reads of it. */

import assert from 'node:assert/strict'
import { open, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { runProgram } from '../../src/base/program.ts'
import { BtrfsFileSystem, openRawSource, windowOf } from '../../src/disk/mod.ts'
import { missingProgram } from '../../src/disk/testing/mod.ts'
import { fill, ours, theirs, type Contents } from './file-contents.ts'
import { MountedImage } from './mounted-image.ts'

const skip = process.getuid?.() === 0
  ? missingProgram('mkfs.btrfs', 'btrfs', 'fsfreeze') : 'only root can mount images'

async function readAll(path: string, t: TestContext): Promise<Contents> {
  await using source = await openRawSource(path, t.signal)
  return await ours(
    await BtrfsFileSystem.open(windowOf(source, 0, source.sizeBytes, t.signal)))
}

async function btrfs(t: TestContext, ...words: readonly string[]): Promise<void> {
  await runProgram('btrfs', words, { signal: t.signal })
}

for (const options of [[], ['-n', '4096', '-m', 'single', '-O', '^no-holes']]) {
  test(`what is read of a btrfs ${options.join(' ')} is what the kernel reads`, { skip },
    async (t) => {
      await using image = await MountedImage.create('btrfs', ['-q', ...options])
      const { mountpoint } = image
      await btrfs(t, 'subvolume', 'create', join(mountpoint, 'inner'))
      await fill(join(mountpoint, 'inner'))
      await btrfs(t, 'subvolume', 'snapshot', join(mountpoint, 'inner'), join(mountpoint, 'then'))
      await writeFile(join(mountpoint, 'inner/few/file with a name 1'), 'changed since')
      const [found, expected] = [
        await readAll(await image.frozenCopy('frozen'), t), await theirs(mountpoint)]
      t.diagnostic(`${found.size} files and folders`)
      assert.deepEqual([...found.keys()].toSorted(), [...expected.keys()].toSorted())
      for (const [name, content] of found) {
        assert.ok(content === expected.get(name), `${name} differs`)
      }
    })
}

test('a btrfs of which something would have to be replayed, unpacked or believed is refused',
  { skip }, async (t) => {
    await using image = await MountedImage.create('btrfs', ['-q'])
    const file = join(image.mountpoint, 'file')
    await writeFile(file, 'synced', { flush: true })
    await runProgram('sync', ['-f', image.mountpoint], { signal: t.signal })
    const before = await image.copy('before')
    await writeFile(file, 'synced again', { flush: true })
    const synced = await image.copy('synced')
    assert.deepEqual([...await readAll(before, t)], [['/file', 'synced']])
    await assert.rejects(readAll(synced, t), { code: 'disk-unreadable', message: /replayed first/ })

    await writeFile(file, '')
    await btrfs(t, 'property', 'set', file, 'compression', 'zlib')
    await writeFile(file, Buffer.alloc(200_000, 'compressible'))
    await assert.rejects(readAll(await image.frozenCopy('packed'), t), {
      code: 'disk-unreadable', message: /compressed/ })

    await using damaged = await open(before, 'r+')
    const bytes = await readFile(before)
    const name = bytes.indexOf('file', 0, 'latin1')
    assert.ok(name > 0)
    for (let at = name; at !== -1; at = bytes.indexOf('file', at + 1, 'latin1')) {
      await damaged.write('g', at) // in both copies of each node
    }
    await assert.rejects(readAll(before, t), { code: 'disk-unreadable', message: /damaged/ })
  })
