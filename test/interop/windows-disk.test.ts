/** A Windows of sorts in a GPT in a VHDX: its state told, logs and a database read out of it. */

import assert from 'node:assert/strict'
import { mkdir, open, readFile, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { systemClock as clock } from '../../src/base/clock.ts'
import { runProgram } from '../../src/base/program.ts'
import { readRestorePoints } from '../../src/catalog/mod.ts'
import { probeSet } from '../../src/consistency/mod.ts'
import { openVirtualDisk, type BlockSource } from '../../src/disk/mod.ts'
import { missingProgram, vhdxImage, type VhdxBlock } from '../../src/disk/testing/mod.ts'
import { sqlServerBackup } from '../../src/eventlog/testing/mod.ts'
import { PointFiles, provePoint, writeImageFile } from '../../src/recovery/mod.ts'
import { newRepository, testFolder, withRepository } from '../system/rig.ts'
import { fillWithLogs, storeWindowsPoint } from '../system/windows-points.ts'
import { cannotMountNtfs, insideNtfs, makeNtfs } from './mounted-ntfs.ts'
import { writeNtfsLog } from './open-ntfs-log.ts'
import { identityOf, MIB, writePieces } from './virtual-disks.ts'

const skip = cannotMountNtfs ||
  missingProgram('qemu-img', 'sfdisk', 'sqlite3', 'ntfscp', 'ntfsfix', 'ntfs-3g.probe')
const INSTANT = Date.UTC(2026, 10, 20, 2, 0, 3)
const NTFS_MIB = 24
const UNCLEAN = 15 // of ntfs-3g.probe
const [frozen, resumed, complete] = sqlServerBackup('Shop', INSTANT - 1000)

async function run(t: TestContext, program: string, ...args: string[]): Promise<string> {
  const { stdout } = await runProgram(program, args, {
    signal: t.signal, env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' } })
  return Buffer.from(stdout).toString()
}

/** An NTFS with logs that know of a freeze and what followed, and with a database. */
async function windowsVolume(folder: string, t: TestContext): Promise<string> {
  const path = join(folder, 'volume')
  await makeNtfs(path, NTFS_MIB, ['-p', '2048'])
  await run(t, 'sqlite3', join(folder, 'shop.db'),
    'PRAGMA page_size = 4096; CREATE TABLE t (n, x); WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL ' +
    'SELECT n + 1 FROM c WHERE n < 20000) INSERT INTO t SELECT n, hex(randomblob(20)) FROM c;')
  await insideNtfs(path, async (root) => {
    await fillWithLogs(root, {
      application: [frozen, resumed, complete].filter((event) => event !== undefined),
      system: [] })
    await mkdir(join(root, 'ProgramData', 'Shop'), { recursive: true })
    await writeFile(join(root, 'ProgramData', 'Shop', 'shop.db'),
      await readFile(join(folder, 'shop.db')))
  })
  return path
}

/** The volume as the first partition of a disk in a VHDX. */
async function inVhdx(volume: string, path: string, t: TestContext): Promise<void> {
  const raw = `${path}.raw`
  await writeFile(raw, '')
  await truncate(raw, (NTFS_MIB + 2) * MIB)
  await runProgram('sfdisk', ['-q', raw], {
    signal: t.signal, input: `label: gpt\nstart=2048, size=${NTFS_MIB * 2048}, ` +
      'type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7\n' })
  {
    await using file = await open(raw, 'r+')
    const bytes = await readFile(volume)
    await file.write(bytes, 0, bytes.length, MIB)
  }
  await run(t, 'qemu-img', 'convert', '-O', 'vhdx', '-o', 'block_size=1M', raw, path)
}

/** What differs of `volume` from the disk in `parent`, as a checkpoint's file over it. */
async function asCheckpoint(volume: string, parent: string, path: string): Promise<void> {
  const [now, before] = [await readFile(volume), await readFile(`${parent}.raw`)]
  const blocks = new Map<number, VhdxBlock>()
  for (let n = 0; n < NTFS_MIB; n++) {
    const bytes = now.subarray(n * MIB, (n + 1) * MIB)
    const old = before.subarray((n + 1) * MIB, (n + 2) * MIB)
    const has = (sector: number): boolean =>
      bytes.compare(old, sector * 512, (sector + 1) * 512, sector * 512, (sector + 1) * 512) !== 0
    if (!bytes.equals(old)) blocks.set(n + 1, { state: 'partial', bytes, has })
  }
  await writePieces(path, vhdxImage({
    sizeBytes: (NTFS_MIB + 2) * MIB, blockBytes: MIB, sectorBytes: 512, blocks, log: 'pending',
    dataWriteGuid: 'cccccccc-1111-4111-8111-111111111111',
    parent: { linkage: await identityOf(parent, 'vhdx'), relativePath: '.\\windows.vhdx' } }))
}

async function signOf(source: BlockSource, t: TestContext): Promise<string> {
  const { volumes } = await probeSet([{ id: 'vda', source }], t.signal)
  return volumes.map(({ type, partition, sign, detail }) =>
    `${type} ${partition} ${sign}: ${detail}`).join('; ')
}

test('an NTFS in a GPT in a VHDX is clean or dirty, as ntfs-3g says', { skip }, async (t) => {
  const folder = await testFolder(t)
  const volume = await windowsVolume(folder, t)
  const path = join(folder, 'windows.vhdx')
  await writeNtfsLog(volume, 'closed', t.signal)
  await run(t, 'ntfs-3g.probe', '--readwrite', volume)
  await inVhdx(volume, path, t)
  {
    await using disk = await openVirtualDisk(path, 'vhdx', [], t.signal)
    assert.equal(await signOf(disk, t), 'ntfs 1 clean: not dirty, and the log was closed')
    await checkContents(disk, folder, t)
  }
  await writeNtfsLog(volume, 'open', t.signal)
  const { code } = await runProgram('ntfs-3g.probe', ['--readwrite', volume], {
    signal: t.signal, okCodes: [0, UNCLEAN] })
  assert.equal(code, UNCLEAN)
  const checkpoint = join(folder, 'windows_1234.avhdx')
  await asCheckpoint(volume, path, checkpoint)
  {
    await using disk = await openVirtualDisk(checkpoint, 'vhdx', [], t.signal)
    assert.equal(await signOf(disk, t), 'ntfs 1 silent: the log was not closed')
    await checkContents(disk, folder, t)
  }
  await run(t, 'ntfsfix', volume) // marks it, so that Windows checks it
  await asCheckpoint(volume, path, checkpoint)
  await using disk = await openVirtualDisk(checkpoint, 'vhdx', [], t.signal)
  assert.equal(await signOf(disk, t), 'ntfs 1 silent: the volume is marked as dirty')
})

/** The database as it was written, whole; the logs judged as those of the machine. */
async function checkContents(disk: BlockSource, folder: string, t: TestContext): Promise<void> {
  const nothing = { state: 'unavailable', reason: 'a test' } as const
  const files = await PointFiles.open([{ id: 'vda', source: disk }], {
    fileSystems: { before: nothing, after: nothing, probes: [], volumes: [] } }, t.signal)
  const { file } = await files.find({ volume: 'vda1', path: 'programdata\\shop\\SHOP.DB' })
  const out = join(folder, 'out.db')
  await writeImageFile(file, out, 'replace', () => {}, t.signal)
  assert.ok((await readFile(out)).equals(await readFile(join(folder, 'shop.db'))))
  assert.equal(await run(t, 'sqlite3', out, 'PRAGMA integrity_check; SELECT count(*) FROM t;'),
    'ok\n20000\n')
  const repository = await newRepository(t)
  await withRepository(repository, t, async (it) => {
    await it.loadIndex(t.signal)
    await storeWindowsPoint(it, disk, INSTANT, t)
    const [point] = await readRestorePoints(it, t.signal)
    assert.ok(point?.state === 'readable')
    const { logs } = await provePoint(
      it, { point, image: false, logs: true, next: undefined }, clock, t.signal)
    assert.match(logs?.found ?? '', /^vda partition 1: Application with 3 records/)
    assert.deepEqual(logs?.remarks.map(({ id }) => id), [3197, 3198, 18_264])
  })
}
