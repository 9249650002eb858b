/** Small files that become large: what is read of them stays within memory and time. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { systemClock } from '../../src/base/clock.ts'
import { runProgram } from '../../src/base/program.ts'
import { siblingModule } from '../../src/base/worker.ts'
import { temporaryFolder } from '../../src/providers/testing/mod.ts'
import { openLocalStorage } from '../../src/storage/mod.ts'
import { beginForgery, DISK, fileEntry, folderEntry, type Forgery } from './forge.ts'

const signal = new AbortController().signal
const MIB = 2 ** 20
/** The program itself, the largest blob twice, and what may become of it when it is parsed. */
const PEAK_BYTES = 1024 * MIB
const LIMIT_MS = 60_000

/** JSON of about so many bytes: a list of one item over and over. */
function listOf(head: string, item: string, tail: string, sizeBytes: number): Buffer {
  return Buffer.from(`${head}${`${item},`.repeat(sizeBytes / (item.length + 1))}${item}${tail}`)
}

interface Bomb {
  readonly name: string
  readonly lay: (forgery: Forgery) => Promise<unknown>
  readonly list: string
  readonly restore?: string
  /** Where it lies in nobody's way. */
  readonly check?: 'sound'
}

const chunkOfZeros = (length: number, lies = {}) => async (it: Forgery): Promise<unknown> => {
  const { forge, point } = it
  const bad = forge.blob('data', Buffer.alloc(length), lies)
  const content = Array.from({ length: DISK.length / 65_536 }, () => bad)
  const segment = forge.tree({ nodes: [fileEntry('seg', content, DISK.length)] })
  const group = forge.tree({ nodes: [folderEntry('00', segment)] })
  const disk = forge.tree({ nodes: [folderEntry('0000', group)] })
  return point((true_) => ({ ...true_, disks: [folderEntry('vda', disk)] }))
}

const BOMBS: readonly Bomb[] = [
  { name: 'an index file of 120 MiB of empty objects', list: 'repository-damaged',
    lay: ({ forge }) => forge.file('index', listOf('{"packs":[', '{}', ']}', 120 * MIB)) },
  { name: 'an index file of 1 GiB of zeros', list: 'repository-damaged',
    lay: ({ forge }) => forge.file('index', Buffer.alloc(1024 * MIB)) },
  { name: 'a snapshot file of 1 GiB of zeros', list: 'damaged,readable', restore: 'restored',
    lay: ({ forge }) => forge.file('snapshots', Buffer.alloc(1024 * MIB)) },
  { name: 'a snapshot file of millions of tags', list: 'damaged,readable', restore: 'restored',
    lay: ({ forge }) => forge.snapshot('a'.repeat(64),
      { tags: Array.from({ length: 6_000_000 }, () => '') }) },
  { name: 'a tree of 120 MiB of numbers that are large', list: 'readable,damaged',
    restore: 'restored',
    lay: async ({ forge }) => {
      const tree = forge.blob('tree',
        listOf('{"nodes":[1234567890123456789,', '"12345678"', ']}', 120 * MIB))
      await forge.flush()
      await forge.snapshot(tree)
    } },
  { name: 'a tree of 300000 names', list: 'readable,damaged', restore: 'restored',
    check: 'sound',
    lay: async ({ forge }) => {
      const time = '"1980-01-01T00:00:00Z"'
      const nodes = Array.from({ length: 300_000 }, (_, n) => `{"name":"${1_000_000 + n}",` +
        `"type":"fifo","mtime":${time},"atime":${time},"ctime":${time}}`)
      const tree = forge.blob('tree', Buffer.from(`{"nodes":[${nodes.join(',')}]}`))
      await forge.flush()
      await forge.snapshot(tree)
    } },
  { name: 'evidence of 250 MiB', list: 'readable,damaged', restore: 'restored', check: 'sound',
    lay: ({ point }) => point((it) => ({ ...it, evidence: Buffer.alloc(250 * MIB, ' ') })) },
  { name: 'a chunk of 250 MiB where 64 KiB belong', list: 'readable', restore: 'point-invalid',
    check: 'sound', lay: chunkOfZeros(250 * MIB) },
  { name: 'a chunk of 1 GiB that says it has 64 KiB', list: 'readable',
    restore: 'repository-damaged',
    lay: chunkOfZeros(1024 * MIB, { uncompressedLength: 65_536, id: 'e'.repeat(64) }) },
]

for (const { name, lay, list, restore = 'nothing to restore', check } of BOMBS) {
  test(name, async (t) => {
    await using folder = await temporaryFolder()
    const forgery = await beginForgery()
    const isAlone = name.includes('chunk')
    if (!isAlone) await forgery.point()
    await lay(forgery)
    await using storage = openLocalStorage(join(folder.path, 'repository'))
    await storage.create(signal)
    for (const kind of ['config', 'keys', 'data', 'index', 'snapshots'] as const) {
      for await (const file of forgery.storage.list(kind, signal)) {
        const bytes = await forgery.storage.get({ kind, name: file.name }, {}, signal)
        await storage.put({ kind, name: file.name }, [bytes], signal)
      }
    }
    const startMs = systemClock.monotonicMs()
    const { stdout } = await runProgram(process.execPath,
      ['--max-old-space-size=1024', siblingModule('./look-at-bomb', import.meta), folder.path],
      { signal })
    const seen = JSON.parse(Buffer.from(stdout).toString()) as {
      list: string; restore: string; check: string; peakBytes: number }
    const sorted = (text: string): string => text.split(',').toSorted().join()
    assert.deepEqual([sorted(seen.list), seen.restore], [sorted(list), restore])
    assert.equal(seen.check, check ?? 'unsound')
    t.diagnostic(`${Math.round(seen.peakBytes / MIB)} MiB`)
    assert.ok(seen.peakBytes < PEAK_BYTES, `${seen.peakBytes / MIB} MiB`)
    assert.ok(systemClock.monotonicMs() - startMs < LIMIT_MS)
  })
}
