/** Disks that the field's own tools made, one for each probe, to be damaged and looked at. */

import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runProgram } from '../../src/base/program.ts'
import { ntfsImage } from '../../src/disk/testing/mod.ts'
import { lvmImage } from './lvm-image.ts'
import { SparseImage } from './sparse-image.ts'

const signal = new AbortController().signal
const MIB = 2 ** 20

export const SUBJECT_TOOLS = [
  'mkfs.ext4', 'mkfs.xfs', 'mkfs.btrfs', 'mkfs.vfat', 'mkswap', 'sfdisk',
] as const

export interface Subject {
  readonly name: string
  readonly image: SparseImage
}

/** Partitions of 4 MiB from 1 MiB on; of the MBR's two are logical. */
const GPT = ['label: gpt', 'start=2048, size=8192', 'start=10240, size=8192']
const MBR = ['label: dos', 'start=2048, size=8192', 'start=10240, size=20480, type=5',
  'start=12288, size=2048', 'start=16384, size=2048']

type Maker = readonly [name: string, sizeMiB: number, make: (path: string) => Promise<void>]

const MAKERS: readonly Maker[] = [
  ['ext4', 8, (path) => run('mkfs.ext4', ['-q', '-F', path])],
  ['ext4 without journal', 8, (path) => run('mkfs.ext4', ['-q', '-F', '-O', '^has_journal', path])],
  ['xfs', 320, (path) => run('mkfs.xfs', ['-q', path])],
  ['btrfs', 128, (path) => run('mkfs.btrfs', ['-q', path])],
  ['vfat', 8, (path) => run('mkfs.vfat', [path])],
  ['swap', 8, (path) => run('mkswap', [path])],
  ['gpt', 16, partitioned(GPT)],
  ['mbr', 16, partitioned(MBR)],
]

/** One disk for each probe, whole. */
export async function makeSubjects(): Promise<readonly Subject[]> {
  const folder = await mkdtemp(join(tmpdir(), 'stillpoint-subjects-'))
  try {
    const subjects: Subject[] = []
    for (const [name, sizeMiB, make] of MAKERS) {
      const path = join(folder, 'disk')
      await writeFile(path, '')
      await truncate(path, sizeMiB * MIB)
      await make(path)
      subjects.push({ name, image: await SparseImage.read(path) })
      await rm(path)
    }
    return [
      ...subjects,
      { name: 'ntfs', image: SparseImage.of(ntfsImage({ restartFlags: 0 })) },
      { name: 'lvm', image: SparseImage.of(lvmImage()) },
    ]
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function partitioned(table: readonly string[]): (path: string) => Promise<void> {
  return async (path) => {
    await run('sfdisk', ['-q', path], table.join('\n'))
    await run('mkfs.ext4', ['-q', '-F', '-E', `offset=${MIB}`, path, '4096K'])
  }
}

async function run(program: string, args: readonly string[], input?: string): Promise<void> {
  await runProgram(program, args, {
    signal, env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' }, ...input === undefined ? {} : { input },
  })
}
