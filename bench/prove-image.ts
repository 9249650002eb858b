/**
 * What `prove --image` reads of a disk of 4 GiB with ext4, XFS and btrfs that were being written to
 * when it was copied: `tools/node bench/prove-image.ts [--mib 4096] [--reps 3] [--dir /tmp]`. Each
 * reading is a process of its own, opening the repository included. Needs root and loop devices.
 */

import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import {
  copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { probeSet } from '../src/consistency/mod.ts'
import type { BlockSource } from '../src/disk/mod.ts'
import {
  DEFAULT_CHUNK_BYTES, openDiskImage, openRepository, type BlobId,
} from '../src/repository/mod.ts'
import { openLocalStorage } from '../src/storage/mod.ts'
import { CONTEXT } from './context.ts'
import { measure, median, NODE, row } from './measure.ts'

const signal = new AbortController().signal
const MIB = 2 ** 20
const TYPES = ['ext4', 'xfs', 'btrfs'] as const
/** What each file system is filled with, of files of 16 KiB. */
const FILLED_MIB = 256
const QUIET = { NODE_NO_WARNINGS: '1', RESTIC_PASSWORD: 'bench' }
/** Writes files, synced, until they fill so much; then the same again and again. */
const WRITE = `
const fs = require('node:fs')
const [, folder, mib] = process.argv
const bytes = require('node:crypto').randomBytes(16_384)
for (let i = 0; ; i++) {
  fs.writeFileSync(folder + '/f' + i % (mib * 64), bytes, { flush: i % 32 === 0 })
}`

const { values, positionals: [command, ...rest] } = parseArgs({
  allowPositionals: true,
  options: {
    mib: { type: 'string', default: '4096' },
    reps: { type: 'string', default: '3' },
    dir: { type: 'string', default: tmpdir() },
  },
})
const diskMib = Number(values.mib)
const partMib = Math.floor((diskMib - 4) / TYPES.length)

if (command === 'probe') await probe(rest[0] ?? '', rest[1] as BlobId)
else main()

function main(): void {
  const folder = mkdtempSync(join(values.dir, 'stillpoint-bench-'))
  try {
    const image = writtenDisk(folder)
    const repo = join(folder, 'repo')
    const disk = (...args: readonly string[]): string => measure(NODE,
      [join(import.meta.dirname, 'repository-disk.ts'), ...args], QUIET).stdout.trim()
    disk('init', repo)
    const tree = disk('store', repo, image)
    const runs = Array.from({ length: Number(values.reps) }, () => measure(
      NODE, [import.meta.filename, 'probe', repo, tree, '--mib', values.mib], QUIET))
    const cost = median(runs)
    const [bytes = '', found = ''] = runs[0]?.stdout.trim().split('\t') ?? []
    const bytesRead = Number(bytes)
    console.log(`${values.mib} MiB, medians of ${values.reps}              wall s   CPU s RSS MiB`)
    console.log(row('prove', cost, `${(bytesRead / MIB).toFixed(1)} MiB read of the disk`))
    console.log(found)
    judge('seconds', cost.wallS)
    judge('shareOfDisk', bytesRead / (diskMib * MIB))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function judge(what: 'seconds' | 'shareOfDisk', value: number): void {
  const { 'prove-image': limits } = JSON.parse(
    readFileSync(join(import.meta.dirname, 'budgets.json'), 'utf8')) as {
    'prove-image': Record<typeof what, number> }
  const isKept = value <= limits[what]
  console.log(`${isKept ? 'kept' : 'BROKEN'}: ${what} ${value.toFixed(4)} of ${limits[what]}`)
  if (!isKept) process.exitCode = 1
}

/** Prints the bytes that were read of the disk, and what was found on it. */
async function probe(repo: string, tree: BlobId): Promise<void> {
  await using storage = openLocalStorage(repo)
  await using repository = await openRepository(storage, CONTEXT, signal)
  await using lock = await repository.lock('shared', signal)
  await repository.loadIndex(lock.lost)
  const geometry = { sizeBytes: diskMib * MIB, chunkBytes: DEFAULT_CHUNK_BYTES }
  await using source = openDiskImage(repository, tree, geometry)
  let bytesRead = 0
  const counted: BlockSource = {
    name: source.name, sizeBytes: source.sizeBytes,
    read: (offset, length, limit) => {
      bytesRead += length
      return source.read(offset, length, limit)
    },
    [Symbol.asyncDispose]: async () => {},
  }
  const { volumes } = await probeSet([{ id: 'vda', source: counted }], lock.lost)
  console.log(`${bytesRead}\t${volumes.map(({ type, sign, detail }) =>
    `${type} ${sign} (${detail})`).join(', ')}`)
}

/** A copy of the disk, taken while all its file systems are written to. */
function writtenDisk(folder: string): string {
  const path = join(folder, 'live')
  writeFileSync(path, '')
  truncateSync(path, diskMib * MIB)
  const table = TYPES.map((_, at) =>
    `start=${(1 + at * partMib) * 2048}, size=${partMib * 2048}`)
  run('sfdisk', ['-q', path], ['label: gpt', ...table].join('\n'))
  const writers: ChildProcess[] = []
  const mounts: string[] = []
  try {
    // All are made before one is mounted: mkfs.btrfs takes their file for a mounted disk.
    for (const [at, type] of TYPES.entries()) {
      const device = run('losetup', ['--find', '--show', ...place(at), path]).trim()
      run(`mkfs.${type}`, ['-q', device])
      run('losetup', ['--detach', device])
    }
    for (const [at, type] of TYPES.entries()) {
      const mountpoint = join(folder, type)
      mkdirSync(mountpoint)
      const device = run('losetup', ['--find', '--show', ...place(at), path]).trim()
      run('mount', ['-t', type, device, mountpoint])
      run('losetup', ['--detach', device]) // goes with the mount
      mounts.push(mountpoint)
      writers.push(spawn(process.execPath, ['-e', WRITE, mountpoint, String(FILLED_MIB)]))
    }
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 15_000)
    copyFileSync(path, join(folder, 'image'))
  } finally {
    for (const writer of writers) writer.kill('SIGKILL')
    for (const mountpoint of mounts) unmount(mountpoint)
  }
  rmSync(path)
  return join(folder, 'image')
}

/** Where the partition of that number lies, for losetup. */
function place(at: number): readonly string[] {
  return ['--offset', String((1 + at * partMib) * MIB), '--sizelimit', String(partMib * MIB)]
}

/** A writer that was just killed may still be inside. */
function unmount(mountpoint: string): void {
  run('sh', ['-c', 'for i in $(seq 50); do umount "$0" && exit 0; sleep 0.2; done; exit 1',
    mountpoint])
}

function run(program: string, args: readonly string[], input = ''): string {
  const { status, stdout, stderr } = spawnSync(program, args, { input, encoding: 'utf8' })
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}\n${stderr}`)
  return stdout
}
