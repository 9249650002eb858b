/** `files` as an operator meets it: on disks made by the file systems' own tools. */

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import {
  copyFile, mkdir, mkdtemp, readdir, readFile, rm, symlink, truncate, writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { runProgram } from '../base/program.ts'
import { missingProgram } from '../disk/testing/mod.ts'
import { createBench, type Bench } from './testing/bench.ts'

const MIB = 2 ** 20
const ON = ['--on', 'qemu:qmp=/run/qmp.sock']
const EVIL = 'evil\u001b[31m\u202e\n-> root'
const skip = missingProgram('mke2fs', 'mkntfs', 'ntfscp', 'ntfsfix')
const folder = await mkdtemp(join(tmpdir(), 'stillpoint-files-'))
after(() => rm(folder, { recursive: true, force: true }))

async function run(program: string, ...args: string[]): Promise<void> {
  await runProgram(program, args, {
    signal: new AbortController().signal, env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' } })
}

/** An ext4 with a long file that has a hole, NTFS with one file, clean and dirty. */
async function withPoint(): Promise<Bench> {
  const content = join(folder, 'content')
  await mkdir(join(content, 'etc'), { recursive: true })
  await writeFile(join(content, 'etc', 'fstab'), 'the table')
  await writeFile(join(content, EVIL), 'x')
  await symlink('etc/fstab', join(content, 'link')).catch(() => {})
  await writeFile(join(content, 'large'), Buffer.concat([
    Buffer.alloc(3 * MIB + 5, 'content'), Buffer.alloc(2 * MIB), Buffer.from('end')]))
  const [vda, vdb] = [join(folder, 'vda'), join(folder, 'vdb')]
  for (const path of [vda, vdb]) {
    await rm(path, { force: true })
    await writeFile(path, '')
    await truncate(path, 8 * MIB)
  }
  await run('mke2fs', '-q', '-F', '-t', 'ext4', '-d', content, vda)
  await run('mkntfs', '-q', '-F', '-Q', vdb)
  await run('ntfscp', '-q', vdb, join(content, 'etc', 'fstab'), 'Table.txt')
  const vdc = join(folder, 'vdc')
  await copyFile(vdb, vdc)
  await run('ntfsfix', vdc) // marks it, so that Windows checks it
  await mkdir(join(folder, 'working'), { recursive: true })
  const bench = createBench({
    workingDir: join(folder, 'working'),
    disks: new Map([['vda', new Uint8Array(await readFile(vda))],
      ['vdb', new Uint8Array(await readFile(vdb))],
      ['vdc', new Uint8Array(await readFile(vdc))]]) })
  assert.equal((await bench.run('init')).code, 0)
  const { code, stderr } = await bench.run('backup', ...ON)
  assert.ok(code === 0 || code === 3, stderr)
  return bench
}

const made = skip === false ? withPoint() : undefined

test('volumes and folders are listed, whatever names there are', { skip }, async () => {
  const bench = await made ?? assert.fail()
  const volumes = await bench.run('files', 'latest', 'ls')
  assert.equal(volumes.code, 0, volumes.stderr)
  assert.match(volumes.stdout, /^vda +ext +\/ +read$/m)
  assert.match(volumes.stdout, /^vdb +ntfs +\S+ +read$/m)
  for (const where of [['vda'], ['vda', '/'], ['/']]) {
    const { code, stdout } = await bench.run('files', 'latest', 'ls', ...where)
    assert.equal(code, 0)
    assert.match(stdout, /^folder +- +etc$/m)
    assert.match(stdout, /^file +5.0 MiB +large$/m)
    assert.match(stdout, /^link +- +link -> etc\/fstab$/m)
    // eslint-disable-next-line no-control-regex
    assert.doesNotMatch(stdout, /[\u001b\u202e]|^-> /m)
    assert.match(stdout, /evil\\x1b\[31m\\u202e\\x0a-> root$/m)
  }
  const { lines } = await bench.runJson('files', 'latest', 'ls', 'vda', 'etc')
  assert.deepEqual(lines.at(-1)?.['files'],
    [{ name: 'fstab', kind: 'file', sizeBytes: 9, target: null }])
  const found = await bench.run('files', 'latest', 'ls', 'vdb', 'TABLE.TXT')
  assert.match(found.stdout, /^file +9 B/m)
})

test('a file is written whole, and never over another unless it may', { skip }, async () => {
  const bench = await made ?? assert.fail()
  const working = join(folder, 'working')
  const got = await bench.run('files', 'latest', 'get', 'vda', '/large')
  assert.equal(got.code, 0, got.stderr)
  const hash = async (path: string): Promise<string> =>
    createHash('sha256').update(await readFile(path)).digest('hex')
  assert.equal(await hash(join(working, 'large')), await hash(join(folder, 'content', 'large')))
  const again = await bench.run('files', 'latest', 'get', '/link', '--to', 'large')
  assert.equal(again.code, 1)
  assert.match(again.stderr, /already-exists/)
  assert.equal(await hash(join(working, 'large')), await hash(join(folder, 'content', 'large')))
  // By the machine's own path, where links are followed.
  const over = await bench.run('files', 'latest', 'get', '/link', '--to', 'large', '--overwrite')
  assert.equal(over.code, 0, over.stderr)
  assert.equal(await readFile(join(working, 'large'), 'utf8'), 'the table')
  await bench.run('files', 'latest', 'get', 'vdb', '\\table.TXT', '--to', 'ntfs')
  assert.equal(await readFile(join(working, 'ntfs'), 'utf8'), 'the table')
  assert.deepEqual((await readdir(working)).toSorted(), ['large', 'ntfs'])
})

test('what an open log may have made older is said, and ends with 3', { skip }, async () => {
  const bench = await made ?? assert.fail()
  const { stdout } = await bench.run('files', 'latest', 'ls')
  assert.match(stdout, /^vdc +ntfs .* read, but its log/m)
  for (const args of [['ls', 'vdc'], ['get', 'vdc', 'Table.txt']]) {
    const { code, stderr } = await bench.run('files', 'latest', ...args)
    assert.equal(code, 3)
    assert.match(stderr, /^warning: its log is not replayed, .* the volume is marked as dirty$/m)
  }
  const { lines } = await bench.runJson('files', 'latest', 'ls', 'vdc')
  assert.match(String(lines.at(-1)?.['warning']), /its log is not replayed/)
})

test('what is not there or no file is said, and nothing is left', { skip }, async () => {
  const bench = await made ?? assert.fail()
  for (const [args, code, why] of [
    [['ls', 'vdz'], 1, /there is no volume vdz[^]*Its volumes: vda, vdb, vdc/],
    [['ls', 'vda', '/none'], 1, /there is no \/none in vda/],
    [['get', 'vda', '/etc'], 1, /\/etc is a folder/],
    [['get', 'vda', '/link'], 1, /\/link is a link to etc\/fstab/],
    [['get', 'vda', '/link/x'], 1, /link is a link to etc\/fstab/],
    [['get', '/none'], 1, /there is no \/none/],
    [['get', 'vda'], 2, /which file/], [['get'], 2, /which file/],
    [['ls', '/a', '/b'], 2, /two paths/], [['ls', 'vda', '--to', 'x'], 2, /are for get/],
    [['put', 'vda'], 2, /put/],
  ] as const) {
    const ended = await bench.run('files', 'latest', ...args)
    assert.equal(ended.code, code, ended.stderr)
    assert.match(ended.stderr, why)
  }
  const held = await readdir(join(folder, 'working'))
  assert.ok(held.every((name) => !name.endsWith('.partial')))
})
