/** Volume groups that LVM's own programs made, read without activating them. */

import assert from 'node:assert/strict'
import { mkdtemp, open, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import {
  openRawSource, probeDisk, probeMapped, type MappedProbe, type PhysicalPlace,
} from '../../src/disk/mod.ts'
import { missingProgram } from '../../src/disk/testing/mod.ts'
import { FIRST_EXTENT, INACTIVE, run, withLvm } from './lvm-programs.ts'

const signal = new AbortController().signal
const MIB = 2 ** 20
const EXTENT = 4 * MIB
const skip = process.getuid?.() === 0
  ? missingProgram('vgcreate', 'lvcreate', 'lvs', 'mkfs.ext4', 'mkfs.xfs', 'losetup')
  : 'only root can attach loop devices'

const folder = await mkdtemp(join(tmpdir(), 'stillpoint-lvm-'))
after(() => rm(folder, { recursive: true, force: true }))

async function image(name: string, sizeBytes: number): Promise<string> {
  const path = join(folder, name)
  await writeFile(path, '')
  await truncate(path, sizeBytes)
  return path
}

async function probe(paths: readonly string[]): Promise<MappedProbe> {
  await using stack = new AsyncDisposableStack()
  const places: PhysicalPlace[] = []
  for (const [index, path] of paths.entries()) {
    const source = stack.use(await openRawSource(path, signal))
    for (const volume of (await probeDisk(source, signal)).volumes) {
      if (volume.kind === 'lvm2') places.push({ diskId: `vd${index}`, source, volume })
    }
  }
  return await probeMapped(places, signal)
}

/** Lays `content` into the extents, which follow one another in these images. */
async function layInto(
  content: string, extents: readonly (readonly [image: string, first: number, count: number])[],
): Promise<void> {
  await using from = await open(content, 'r')
  let at = 0
  for (const [path, first, count] of extents) {
    await using to = await open(path, 'r+')
    const bytes = Buffer.alloc(count * EXTENT)
    const { bytesRead } = await from.read(bytes, 0, bytes.length, at)
    await to.write(bytes, 0, bytesRead, FIRST_EXTENT + first * EXTENT)
    at += count * EXTENT
  }
}

test('linear volumes over two disks are looked into, others say why not', { skip }, async () => {
  const a = await image('a', 100 * MIB)
  const b = await image('b', 100 * MIB)
  await withLvm([a, b], async (lvm, [first = '', second = '']) => {
    await lvm('pvcreate', first, second)
    await lvm('vgcreate', 'vg0', first, second)
    const make = (name: string, ...args: readonly string[]): Promise<string> =>
      lvm('lvcreate', ...INACTIVE, '--name', name, ...args)
    await make('root', '--extents', '15', 'vg0', first)
    await make('data', '--extents', '3', 'vg0', second)
    await lvm('lvextend', '--extents', '+12', 'vg0/root', second)
    await make('wide', '--stripes', '2', '--extents', '4', 'vg0')
    const listed = await lvm('lvs', '--noheadings', '--options', 'lv_name,seg_type', 'vg0')
    assert.deepEqual(listed.trim().split('\n').map((line) => line.trim().split(/\s+/)),
      [['data', 'linear'], ['root', 'linear'], ['root', 'linear'], ['wide', 'striped']])
  })
  const root = await image('root', 27 * EXTENT)
  await run('mkfs.ext4', '-q', '-F', '-L', 'over-two', root)
  await run('debugfs', '-w', '-R', 'feature needs_recovery', root)
  await layInto(root, [[a, 0, 15], [b, 3, 12]])

  const { volumes, explained } = await probe([a, b])
  assert.equal(explained.size, 2)
  assert.deepEqual(
    volumes.map(({ name, diskIds, kind, label, activity }) =>
      [name, diskIds, kind, label, activity]), [
      ['vg0/root', ['vd0', 'vd1'], 'ext', 'over-two', 'active'],
      ['vg0/data', ['vd1'], 'blank', undefined, 'unknown'],
      ['vg0/wide', ['vd0', 'vd1'], 'unknown', undefined, 'unknown']])
  assert.match(volumes.at(-1)?.detail ?? '', /"striped", not linear/)

  const alone = await probe([a])
  assert.deepEqual(alone.volumes.map(({ name, kind, detail }) => [name, kind, detail]), [
    ['vg0/root', 'unknown', 'a physical volume of it is not here'],
    ['vg0/data', 'unknown', 'a physical volume of it is not here'],
    ['vg0/wide', 'unknown', 'it is of type "striped", not linear']])
})

test('a volume whose text lies across the end of its area is read', { skip }, async () => {
  const path = await image('many', 100 * MIB)
  await withLvm([path], async (lvm, [device = '']) => {
    await lvm('pvcreate', device)
    await lvm('vgcreate', 'small', device)
    await lvm('lvcreate', ...INACTIVE, '--name', 'one', '--extents', '2', 'small')
    // The area of 1 MiB takes fifteen texts of this length; each change writes the next.
    const tags = Array.from({ length: 60 }, (_, n) => ['--addtag', `${n}${'x'.repeat(1000)}`])
    await lvm('lvchange', ...tags.flat(), 'small/one')
    for (let n = 0; n < 18; n++) {
      await lvm('lvchange', n % 2 === 0 ? '--addtag' : '--deltag', 'more', 'small/one')
      const { volumes } = await probe([path])
      assert.deepEqual(volumes.map(({ name }) => name), ['small/one'], `change ${n}`)
    }
  })
})

test('what is damaged or belongs to no group stays opaque', { skip }, async () => {
  const path = await image('damaged', 100 * MIB)
  await withLvm([path], async (lvm, [device = '']) => {
    await lvm('pvcreate', device)
    assert.equal((await probe([path])).explained.size, 0)
    await lvm('vgcreate', 'vg1', device)
    await lvm('lvcreate', ...INACTIVE, '--name', 'one', '--extents', '2', 'vg1')
  })
  assert.equal((await probe([path])).explained.size, 1)
  await using file = await open(path, 'r+')
  const area = Buffer.alloc(64 * 1024)
  await file.read(area, 0, area.length, 4096)
  const at = 4096 + area.lastIndexOf('seqno')
  await file.write(Buffer.from('S'), 0, 1, at)
  assert.deepEqual([...(await probe([path])).explained], [])
})
