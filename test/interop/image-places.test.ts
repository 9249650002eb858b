/** Files are found wherever the guest had them: in partitions, logical volumes, through links. */

import assert from 'node:assert/strict'
import { cp, open, symlink, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { runProgram } from '../../src/base/program.ts'
import { openRawSource } from '../../src/disk/mod.ts'
import { missingProgram } from '../../src/disk/testing/mod.ts'
import { ServerFolder, SqliteApp } from '../../src/writers/testing/mod.ts'
import { testFolder } from '../system/rig.ts'
import { checkImage, checksOn, imageOf, type Captured } from './database-image.ts'
import { holdSqlite } from './held-sqlite.ts'
import { FIRST_EXTENT, INACTIVE, withLvm } from './lvm-programs.ts'
import { MountedImage } from './mounted-image.ts'

const MIB = 2 ** 20
const FS_MIB = 32
const skip = process.getuid?.() === 0
  ? missingProgram('vgcreate', 'lvcreate', 'losetup', 'sfdisk')
  : 'only root can attach loop devices'

async function blank(sizeMiB: number, t: TestContext): Promise<string> {
  const path = join(await testFolder(t), 'disk')
  await writeFile(path, '')
  await truncate(path, sizeMiB * MIB)
  return path
}

async function layInto(path: string, content: string, offset: number): Promise<void> {
  await using from = await open(content)
  await using to = await open(path, 'r+')
  const bytes = Buffer.alloc(FS_MIB * MIB)
  const { bytesRead } = await from.read(bytes, 0, bytes.length, 0)
  await to.write(bytes, 0, bytesRead, offset)
}

test('a database is found in a partition, in a logical volume and behind links', { skip },
  async (t) => {
    const folder = await ServerFolder.make('nobody')
    t.after(() => folder[Symbol.asyncDispose]())
    await using app = await SqliteApp.start(
      folder, join(await folder.mkdir('app'), 'it.db'), 'pragma journal_mode=persist;')
    await app.insert()
    const captured = await holdSqlite(folder, app, t)
    await symlink('app', join(folder.path, 'near'))
    await symlink(join(folder.path, 'near'), join(folder.path, 'far'))
    await symlink('loop', join(folder.path, 'loop'))
    const plain = await imageOf(folder.path, FS_MIB, t)
    const answer = async (path: string, changes: Partial<Captured> = {}): Promise<string> => {
      const { answer, detail } = await checkImage(path, { ...captured, ...changes }, t)
      return `${answer} ${detail}`
    }
    assert.match(await answer(plain), /^confirms its change counter/)
    for (const through of ['near', 'far']) {
      assert.match(await answer(plain, { paths: [join(folder.path, through, 'it.db')] }),
        /^confirms its change counter/)
    }
    assert.match(await answer(plain, { paths: [join(folder.path, 'loop', 'it.db')] }),
      /^silent .* goes through too many links/)
    const bound = { mountpoint: '/srv/app', root: '/app', paths: ['/srv/app/it.db'] }
    assert.match(await answer(plain, bound), /^confirms its change counter/)
    assert.match(await answer(plain, { ...bound, root: '/near' }), /^silent no database lies/)
    assert.match(await answer(plain, { paths: [join(folder.path, 'app', 'gone.db')] }),
      /^silent no database lies where it was/)

    const gpt = await blank(FS_MIB + 40, t)
    await runProgram('sfdisk', ['-q', gpt], { signal: t.signal,
      input: `label: gpt\nstart=2048, size=8192\nstart=20480, size=${FS_MIB * 2048}\n` })
    await layInto(gpt, plain, 20_480 * 512)
    assert.match(await answer(gpt, { device: 'vda2' }), /^confirms its change counter/)

    const lvm = await blank(FS_MIB + 40, t)
    await withLvm([lvm], async (lvm, [device = '']) => {
      await lvm('pvcreate', device)
      await lvm('vgcreate', 'vg0', device)
      await lvm('lvcreate', ...INACTIVE, '--name', 'data', '--extents', String(FS_MIB / 4), 'vg0')
    })
    await layInto(lvm, plain, FIRST_EXTENT)
    assert.match(await answer(lvm, { device: 'dm-0' }), /^confirms its change counter/)
  })

const IN_OTHERS = [['xfs', ''], ['btrfs', '@']] as const

for (const [type, subvolume] of IN_OTHERS) {
  test(`a database is read out of ${type} that was held`, { skip }, (t) =>
    readOutOf(type, subvolume, t))
}

/** Behind a subvolume where one is named. */
async function readOutOf(type: string, subvolume: string, t: TestContext): Promise<void> {
  const folder = await ServerFolder.make('nobody')
  t.after(() => folder[Symbol.asyncDispose]())
  await using app = await SqliteApp.start(folder, join(await folder.mkdir('app'), 'it.db'))
  await app.insert()
  const captured = await holdSqlite(folder, app, t)
  await using image = await MountedImage.create(type, ['-q'])
  const top = join(image.mountpoint, subvolume)
  if (subvolume !== '') {
    await runProgram('btrfs', ['subvolume', 'create', top], { signal: t.signal })
  }
  await cp(join(folder.path, 'app'), join(top, 'app'), { recursive: true })
  const { answer, detail } = await checkImage(await image.frozenCopy('frozen'), {
    ...captured, type, ...subvolume === '' ? {} : { root: `/${subvolume}` } }, t)
  assert.deepEqual([answer, /frame [1-9]\d*, as it stated in the hold/.test(detail)],
    ['confirms', true], detail)
}

test('a database of Access is named, with whether it was open, and proves nothing', async (t) => {
  const folder = await ServerFolder.make('nobody')
  t.after(() => folder[Symbol.asyncDispose]())
  await using app = await SqliteApp.start(
    folder, join(await folder.mkdir('app'), 'it.db'), 'pragma journal_mode=delete;')
  const captured = await holdSqlite(folder, app, t)
  const file = Buffer.alloc(8192)
  file.write('\0\x01\0\0Standard ACE DB\0', 'latin1')
  file[20] = 3
  const put = (name: string, bytes: Uint8Array): Promise<void> =>
    writeFile(join(folder.path, name), bytes)
  await put('open.accdb', file)
  await put('open.laccdb', Buffer.alloc(64))
  await put('shut.mdb', file.subarray(0, 5000))
  await put('other.mdb', Buffer.from('nothing'))
  const incidental = Object.fromEntries(['open.accdb', 'shut.mdb', 'other.mdb', 'gone.mdb']
    .map((name) => [`Access database ${name}`, join(folder.path, name)]))
  await using source = await openRawSource(await imageOf(folder.path, FS_MIB, t), t.signal)
  const [own, ...checks] = await checksOn(source, { ...captured, incidental }, t)
  assert.equal(own?.answer, 'confirms')
  assert.deepEqual(checks.map(({ claim, answer, detail }) =>
    [claim.subject.slice(16), answer, detail.slice(0, 44)]), [
    ['open.accdb', 'silent', 'Access 2010: somebody had it open (its lock '],
    ['shut.mdb', 'silent', 'Access 2010, and its last page is cut: nobod'],
    ['other.mdb', 'silent', 'its file does not begin as a database of Acc'],
    ['gone.mdb', 'silent', 'no file lies where it was']])
})
