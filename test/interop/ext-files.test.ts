/** Files read out of ext4, journal replayed, beside what its own tools replay and read. */

import assert from 'node:assert/strict'
import { copyFile, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { runProgram } from '../../src/base/program.ts'
import { ExtFileSystem, openRawSource, windowOf } from '../../src/disk/mod.ts'
import { missingProgram } from '../../src/disk/testing/mod.ts'
import { MountedImage } from './mounted-image.ts'
import { testFolder } from '../system/rig.ts'

const ROUNDS = 2
const skip = process.getuid?.() === 0
  ? missingProgram('mkfs.ext4', 'e2fsck', 'debugfs') : 'only root can mount images'

/** Contents by name of all in the root folder but `lost+found`; undefined: not readable. */
async function ours(path: string, t: TestContext): Promise<Map<string, string>> {
  await using source = await openRawSource(path, t.signal)
  const fileSystem = await ExtFileSystem.open(windowOf(source, 0, source.sizeBytes, t.signal))
  const found = new Map<string, string>()
  for (const { name, inode } of await fileSystem.list(await fileSystem.inode(fileSystem.root))) {
    if (name === 'lost+found') continue
    const file = await fileSystem.inode(inode)
    found.set(name, (await file.read(0, file.sizeBytes)).toString('latin1'))
  }
  t.diagnostic(`${found.size} files, ${fileSystem.wasReplayed ? '' : 'not '}replayed`)
  return found
}

/** The same by e2fsck on a copy, and debugfs. */
async function theirs(path: string, t: TestContext): Promise<Map<string, string>> {
  const copy = `${path}.replayed`
  await copyFile(path, copy)
  await runProgram('e2fsck', ['-y', '-E', 'journal_only', copy], {
    signal: t.signal, okCodes: [0, 1] })
  const folder = await testFolder(t)
  await runProgram('debugfs', ['-R', `rdump / ${folder}`, copy], { signal: t.signal })
  const names = (await readdir(folder)).filter((name) => name !== 'lost+found')
  return new Map(await Promise.all(names.map(async (name) =>
    [name, await readFile(join(folder, name), 'latin1')] as const)))
}

function checkSame(a: ReadonlyMap<string, string>, b: ReadonlyMap<string, string>): void {
  assert.deepEqual([...a.keys()].toSorted(), [...b.keys()].toSorted())
  for (const [name, content] of a) assert.equal(content, b.get(name), name)
}

for (const options of [[], ['-b', '1024', '-O', '^64bit,^metadata_csum']]) {
  test(`what is read of ext4 ${options.join(' ')} is what its tools read`, { skip }, async (t) => {
    await using image = await MountedImage.create('ext4', ['-q', '-F', ...options])
    await image.startLoad()
    for (let round = 0; round < ROUNDS; round++) {
      const busy = await image.copy(`busy${round}`)
      checkSame(await ours(busy, t), await theirs(busy, t))
    }
    const frozen = await image.frozenCopy('frozen')
    checkSame(await ours(frozen, t), await theirs(frozen, t))
  })
}
