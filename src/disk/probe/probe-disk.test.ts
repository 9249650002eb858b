import assert from 'node:assert/strict'
import { mkdtemp, open, rm, truncate } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { runProgram } from '../../base/program.ts'
import { openRawSource } from '../raw-source.ts'
import { memorySource } from '../testing/memory-disk.ts'
import { missingProgram } from '../testing/nbd-programs.ts'
import { rawCrc32c } from './crc32c.ts'
import { probeDisk } from './probe-disk.ts'
import { ntfsImage } from '../testing/ntfs-image.ts'
import type { DiskProbe, ProbedVolume } from './volume.ts'

const signal = new AbortController().signal
const MIB = 2 ** 20
const UUID = '0d1f2a3b-1111-4222-8333-444455556666'

const folder = await mkdtemp(join(tmpdir(), 'stillpoint-probe-'))
after(() => rm(folder, { recursive: true, force: true }))
const skip = missingProgram(
  'mkfs.ext4', 'mkfs.xfs', 'mkfs.btrfs', 'mkfs.vfat', 'mkswap', 'sfdisk', 'debugfs')

const run = (program: string, args: readonly string[], input?: string): Promise<unknown> =>
  runProgram(program, args, {
    signal, env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
    ...(input === undefined ? {} : { input }),
  })

let images = 0
async function image(sizeBytes: number): Promise<string> {
  const path = join(folder, `disk${images++}`)
  await (await open(path, 'wx')).close()
  await truncate(path, sizeBytes)
  return path
}

async function probe(path: string): Promise<DiskProbe> {
  await using source = await openRawSource(path, signal)
  return await probeDisk(source, signal)
}

async function volumeOf(path: string): Promise<ProbedVolume> {
  const { table, volumes } = await probe(path)
  assert.equal(table, 'none')
  assert.equal(volumes.length, 1)
  return volumes[0] ?? assert.fail()
}

const facts = (
  { kind, uuid, label, activity }: ProbedVolume): unknown[] => [kind, uuid, label, activity]

test('ext is clean, active if it needs recovery, unknown without journal', { skip }, async () => {
  for (const [type, activity] of [
    ['ext4', 'clean'], ['ext3', 'clean'], ['ext2', 'unknown'],
  ] as const) {
    const path = await image(16 * MIB)
    await run(`mkfs.${type}`, ['-q', '-F', '-U', UUID, '-L', 'root', path])
    assert.deepEqual(facts(await volumeOf(path)), ['ext', UUID, 'root', activity])
    if (type === 'ext2') continue
    await run('debugfs', ['-w', '-R', 'feature needs_recovery', path])
    assert.deepEqual(facts(await volumeOf(path)), ['ext', UUID, 'root', 'active'])
  }
})

test('an ext superblock with a wrong checksum is no evidence', { skip }, async () => {
  const path = await image(16 * MIB)
  await run('mkfs.ext4', ['-q', '-F', '-O', 'metadata_csum', path])
  assert.equal((await volumeOf(path)).activity, 'clean')
  await using file = await open(path, 'r+')
  await file.write(Buffer.from([9]), 0, 1, 1024 + 300)
  const { activity, detail } = await volumeOf(path)
  assert.equal(activity, 'unknown')
  assert.match(detail, /checksum/)
})

test('xfs is clean when it was never mounted, and unknown without its log', { skip }, async () => {
  const path = await image(320 * MIB)
  await run('mkfs.xfs', ['-q', '-m', `uuid=${UUID}`, '-L', 'data', path])
  assert.deepEqual(facts(await volumeOf(path)), ['xfs', UUID, 'data', 'clean'])
  await run('dd', ['if=/dev/zero', `of=${path}`, 'bs=1M', 'seek=1', 'conv=notrunc', 'count=319'])
  const { activity, detail } = await volumeOf(path)
  assert.equal(activity, 'unknown')
  assert.match(detail, /the log cannot be read/)
})

test('btrfs is active with a log tree, else it says nothing', { skip }, async () => {
  const path = await image(128 * MIB)
  await run('mkfs.btrfs', ['-q', '-U', UUID, '-L', 'pool', path])
  assert.deepEqual(facts(await volumeOf(path)), ['btrfs', UUID, 'pool', 'unknown'])
  await using file = await open(path, 'r+')
  const superblock = Buffer.alloc(4096)
  await file.read(superblock, 0, 4096, 65_536)
  superblock.writeBigUInt64LE(53_100_544n, 96)
  await file.write(superblock, 0, 4096, 65_536)
  assert.match((await volumeOf(path)).detail, /checksum is wrong/)
  superblock.writeUInt32LE(~rawCrc32c(superblock.subarray(32)) >>> 0, 0)
  await file.write(superblock, 0, 4096, 65_536)
  assert.deepEqual(facts(await volumeOf(path)), ['btrfs', UUID, 'pool', 'active'])
})

for (const bits of [12, 16, 32] as const) {
  test(`vfat with FAT${bits} is found and its marks are read`, { skip }, async () => {
    const path = await image({ 12: 4, 16: 32, 32: 64 }[bits] * MIB)
    await run('mkfs.vfat', ['-F', `${bits}`, '-i', '1234abcd', '-n', 'BOOT', path])
    const idle = bits === 12 ? 'unknown' : 'clean'
    assert.deepEqual(facts(await volumeOf(path)), ['vfat', '1234-ABCD', 'BOOT', idle])
    await using file = await open(path, 'r+')
    await file.write(Buffer.from([1]), 0, 1, bits === 32 ? 65 : 37)
    assert.deepEqual(facts(await volumeOf(path)), ['vfat', '1234-ABCD', 'BOOT', 'active'])
  })
}

test('swap is found, and a hibernated machine in it', { skip }, async () => {
  const path = await image(4 * MIB)
  await run('mkswap', ['-q', '-U', UUID, '-L', 'swap', path])
  assert.deepEqual(facts(await volumeOf(path)), ['swap', UUID, 'swap', 'clean'])
  await using file = await open(path, 'r+')
  await file.write(Buffer.from('S1SUSPEND\0'), 0, 10, 4086)
  assert.deepEqual(facts(await volumeOf(path)), ['swap', UUID, 'swap', 'active'])
})

test('a GPT\'s volumes are found, also by its second header alone', { skip }, async () => {
  const path = await image(64 * MIB)
  const id = '11111111-2222-4333-8444-555555555555'
  await run('sfdisk', ['-q', path], [
    `label: gpt`, `label-id: ${id}`, 'start=2048, size=32768, type=U',
    'start=34816, size=32768, type=L', 'start=67584, size=8192',
  ].join('\n'))
  await run('mkfs.vfat', ['-F', '12', '--offset', '2048', '-n', 'ESP', path, '16384'])
  await run('mkfs.ext4', ['-q', '-F', '-U', UUID, '-E', `offset=${34_816 * 512}`, path, '16M'])
  const expected = [
    { partition: 1, offset: MIB, length: 16 * MIB, kind: 'vfat',
      type: 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b' },
    { partition: 2, offset: 17 * MIB, length: 16 * MIB, kind: 'ext',
      type: '0fc63daf-8483-4772-8e79-3d69d8477de4' },
    { partition: 3, offset: 33 * MIB, length: 4 * MIB, kind: 'blank',
      type: '0fc63daf-8483-4772-8e79-3d69d8477de4' },
  ]
  const check = async (): Promise<void> => {
    const { table, volumes } = await probe(path)
    assert.equal(table, 'gpt')
    assert.deepEqual(volumes.map(({ partition, offset, length, kind, partitionType: type }) =>
      ({ partition, offset, length, kind, type })), expected)
  }
  await check()
  await using file = await open(path, 'r+')
  await file.write(Buffer.alloc(512), 0, 512, 512)
  await check()
  await file.write(Buffer.alloc(512), 0, 512, 64 * MIB - 512)
  const [volume] = (await probe(path)).volumes
  assert.match(volume?.detail ?? '', /GPT/)
})

test('an MBR\'s volumes are found, the logical ones too', { skip }, async () => {
  const path = await image(32 * MIB)
  await run('sfdisk', ['-q', path], [
    'label: dos', 'start=2048, size=16384, type=83, bootable', 'start=18432, size=40000, type=5',
    'start=20480, size=4096, type=82', 'start=26624, size=8192, type=7',
    'start=36864, size=2048, type=83',
  ].join('\n'))
  await run('mkfs.ext4', ['-q', '-F', '-E', `offset=${MIB}`, path, '8M'])
  const { table, volumes } = await probe(path)
  assert.equal(table, 'mbr')
  assert.deepEqual(volumes.map(({ partition, offset, kind, partitionType }) => [
    partition, offset / 512, kind, partitionType]), [
    [1, 2048, 'ext', '0x83'], [5, 20_480, 'blank', '0x82'], [6, 26_624, 'blank', '0x07'],
    [7, 36_864, 'blank', '0x83'],
  ])
})

test('a partition that runs past the disk is clipped and said to', async () => {
  const disk = Buffer.alloc(MIB)
  disk.set([0, 0, 0, 0, 0x83, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0x80], 446)
  disk.set([0, 0, 0, 0, 0x83, 0, 0, 0, 0, 0, 0, 0x80, 1], 462)
  disk.writeUInt16LE(0xaa55, 510)
  const { volumes } = await probeDisk(memorySource(disk), signal)
  assert.deepEqual(
    volumes.map(({ offset, length }) => [offset, length]), [[MIB / 2, MIB / 2], [MIB, 0]])
  assert.ok(volumes.every(({ detail }) => detail.includes('past the end of the disk')))
  assert.deepEqual(volumes.map(({ kind }) => kind), ['unknown', 'unknown'])
})

test('a chain of logical partitions that bites its tail ends', async () => {
  const disk = Buffer.alloc(MIB)
  for (const at of [0, 1024]) {
    disk.set([0, 0, 0, 0, at === 0 ? 5 : 0x83, 0, 0, 0, 2, 0, 0, 0, 8], at + 446)
    if (at > 0) disk.set([0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 8], at + 462)
    disk.writeUInt16LE(0xaa55, at + 510)
  }
  const { volumes } = await probeDisk(memorySource(disk), signal)
  assert.deepEqual(volumes.map(({ partition, offset }) => [partition, offset]), [[5, 2048]])
})

for (const [name, options, activity] of [
  ['closed', { restartFlags: 2 }, 'clean'], ['never used', { isLogBlank: true }, 'clean'],
  ['open', { restartFlags: 0 }, 'active'],
  ['closed but the volume dirty', { restartFlags: 2, volumeFlags: 1 }, 'active'],
  ['torn', { restartFlags: 2, isLogTorn: true }, 'unknown'],
] as const) {
  test(`ntfs with its log ${name} is ${activity}`, async () => {
    const { table, volumes } = await probeDisk(memorySource(ntfsImage(options)), signal)
    assert.equal(table, 'none')
    assert.deepEqual(volumes.map(facts), [['ntfs', '0123456789ABCDEF', 'System', activity]])
  })
}

test('ntfs of mkntfs is clean', { skip: missingProgram('mkntfs') }, async () => {
  const path = await image(8 * MIB)
  await run('mkntfs', ['-F', '-Q', '-L', 'Vol', path])
  const { kind, label, activity } = await volumeOf(path)
  assert.deepEqual([kind, label, activity], ['ntfs', 'Vol', 'clean'])
})

const signed = (sizeBytes: number, ...parts: readonly [number, string | Buffer][]): Buffer => {
  const disk = Buffer.alloc(sizeBytes)
  for (const [at, bytes] of parts) {
    disk.set(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes, at)
  }
  return disk
}

for (const [name, disk, expected] of [
  ['LUKS', signed(MIB, [0, 'LUKS\xba\xbe\0\x02'], [24, 'vault'], [168, UUID]),
    ['luks', UUID, 'vault', 'unknown']],
  ['LVM2', signed(
    MIB, [512, 'LABELONE'], [532, '\x20\0\0\0LVM2 001'], [544, 'abcdefghijklmnopqrstuvwxyz012345']),
    ['lvm2', 'abcdef-ghij-klmn-opqr-stuv-wxyz-012345', undefined, 'unknown']],
  ['ISO 9660', signed(MIB, [32_769, 'CD001'], [32_808, 'DEBIAN   ']),
    ['iso9660', undefined, 'DEBIAN', 'clean']],
  ['nothing', signed(MIB), ['blank', undefined, undefined, 'unknown']],
  ['one zero', signed(1), ['blank', undefined, undefined, 'unknown']],
  ['one byte', signed(1, [0, 'x']), ['unknown', undefined, undefined, 'unknown']],
  ['a byte in the head', signed(MIB, [69_000, 'x']), ['unknown', undefined, undefined, 'unknown']],
  ['a label after 256 KiB', signed(MIB, [256 * 1024, 'x']),
    ['unknown', undefined, undefined, 'unknown']],
  ['something in the middle', signed(17 * MIB, [8 * MIB + 100, 'x']),
    ['unknown', undefined, undefined, 'unknown']],
  ['the last byte', signed(MIB, [MIB - 1, 'x']), ['unknown', undefined, undefined, 'unknown']],
  ['an empty disk', signed(0), ['unknown', undefined, undefined, 'unknown']],
] as const) {
  test(`${name} is recognised`, async () => {
    const { volumes } = await probeDisk(memorySource(disk), signal)
    assert.deepEqual(volumes.map(facts), [expected])
  })
}
