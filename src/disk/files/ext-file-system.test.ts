/** Journals that debugfs wrote, replayed here and by e2fsck; and what is not read. */

import assert from 'node:assert/strict'
import { copyFile, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import fc from 'fast-check'
import { runProgram } from '../../base/program.ts'
import { windowOf } from '../probe/window.ts'
import { openRawSource } from '../raw-source.ts'
import { missingProgram } from '../testing/nbd-programs.ts'
import { ExtFileSystem } from './ext-file-system.ts'

const signal = new AbortController().signal
const BLOCKS = 6
const skip = missingProgram('mke2fs', 'debugfs', 'e2fsck')
const folder = await mkdtemp(join(tmpdir(), 'stillpoint-ext-'))
after(() => rm(folder, { recursive: true, force: true }))

async function run(program: string, args: readonly string[], input?: string): Promise<string> {
  const { stdout } = await runProgram(program, args, {
    signal, okCodes: [0, 1], cwd: folder, env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
    ...input === undefined ? {} : { input } })
  return Buffer.from(stdout).toString()
}

/** A file system with one file of some blocks, and the numbers of these. */
async function make(
  options: readonly string[], blockBytes: number): Promise<{ path: string; blocks: string[] }> {
  const path = join(folder, 'image')
  await writeFile(path, '')
  await truncate(path, 16 * 2 ** 20)
  await run('mke2fs', ['-q', '-F', '-t', 'ext4', '-b', String(blockBytes), ...options, path])
  await writeFile(join(folder, 'content'), Buffer.alloc(BLOCKS * blockBytes, 'before'))
  await run('debugfs', ['-w', '-R', 'write content file', path])
  const blocks = (await run('debugfs', ['-R', 'blocks /file', path])).trim().split(/\s+/)
  assert.equal(blocks.length, BLOCKS)
  return { path, blocks }
}

async function ours(path: string): Promise<Buffer> {
  await using source = await openRawSource(path, signal)
  const fileSystem = await ExtFileSystem.open(windowOf(source, 0, source.sizeBytes, signal))
  const entries = await fileSystem.list(await fileSystem.inode(fileSystem.root))
  const file = await fileSystem.inode(entries.find(({ name }) => name === 'file')?.inode ?? 0)
  return await file.read(0, file.sizeBytes)
}

async function theirs(path: string): Promise<Buffer> {
  await copyFile(path, `${path}.copy`)
  await run('e2fsck', ['-y', '-E', 'journal_only', `${path}.copy`])
  await run('debugfs', ['-R', 'dump /file out', `${path}.copy`])
  return readFile(join(folder, 'out'))
}

interface Transaction {
  readonly block: number
  readonly what: 'A' | 'B' | 'magic' | 'revoke'
}

const transaction: fc.Arbitrary<Transaction> = fc.record({
  block: fc.nat({ max: BLOCKS - 1 }), what: fc.constantFrom('A', 'B', 'magic', 'revoke') })

for (const [name, options, blockBytes, journal] of [
  ['checksums of version 3', [], 4096, 'jo -c -v 3'],
  ['checksums of version 2, small blocks', ['-O', '^64bit'], 1024, 'jo -c -v 2'],
  ['no checksums', ['-O', '^64bit,^metadata_csum'], 1024, 'jo'],
] as const) {
  test(`a journal with ${name} is replayed as e2fsck does`, { skip }, async () => {
    for (const letter of ['A', 'B']) {
      await writeFile(join(folder, letter), Buffer.alloc(blockBytes, letter))
    }
    const magic = Buffer.alloc(blockBytes, 'C')
    magic.writeUInt32BE(0xc03b3998)
    await writeFile(join(folder, 'magic'), magic)
    await fc.assert(fc.asyncProperty(
      fc.array(transaction, { minLength: 1, maxLength: 12 }), fc.boolean(),
      async (transactions, isCut) => {
        const { path, blocks } = await make(options, blockBytes)
        const lines = transactions.map(({ block, what }, at) => {
          const number = blocks[block]
          if (what === 'revoke') return `jw -r ${number}`
          // Without a commit it never happened.
          return `jw -b ${number} ${isCut && at === transactions.length - 1 ? '-c ' : ''}${what}`
        })
        await run('debugfs', ['-w', '-f', '-', path], [journal, ...lines, 'jc', ''].join('\n'))
        assert.deepEqual(await ours(path), await theirs(path), lines.join('\n'))
      }), { numRuns: 12 })
  })
}

test('what is not understood is refused, with the reason', { skip }, async () => {
  const refused = async (
    why: RegExp, options: readonly string[], spoil?: (bytes: Buffer) => void): Promise<void> => {
    const { path } = await make(options, 4096)
    const bytes = await readFile(path)
    spoil?.(bytes)
    await writeFile(path, bytes)
    await assert.rejects(ours(path), { code: 'disk-unreadable', message: why })
  }
  await refused(/has features that are not read \(0x10\)/, ['-O', 'meta_bg,^resize_inode'])
  await refused(/superblock's checksum is wrong/, [], (bytes) => { bytes[1024 + 200] = 7 })
  await refused(/no superblock of ext4/, [], (bytes) => { bytes.fill(0, 1024, 2048) })
  await refused(/block map, as ext3 did/, ['-O', '^extents,^64bit'])
  await refused(/its journal is elsewhere/, ['-O', '^has_journal,^metadata_csum'], (bytes) => {
    bytes.writeUInt32LE(bytes.readUInt32LE(1024 + 96) | 4, 1024 + 96)
  })
})
