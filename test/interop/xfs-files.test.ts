/** Files read out of a frozen XFS, beside what the kernel reads of it. */

import assert from 'node:assert/strict'
import { open, readFile } from 'node:fs/promises'
import { test, type TestContext } from 'node:test'
import { openRawSource, windowOf, XfsFileSystem } from '../../src/disk/mod.ts'
import { missingProgram } from '../../src/disk/testing/mod.ts'
import { fill, ours, theirs } from './file-contents.ts'
import { MountedImage } from './mounted-image.ts'

const skip = process.getuid?.() === 0
  ? missingProgram('mkfs.xfs', 'fsfreeze') : 'only root can mount images'

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
