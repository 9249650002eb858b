/**
 * Memory and metadata of a sparse disk of 1 TiB with a million blobs, whose data compress to
 * nothing: `tools/node bench/sparse-terabyte.ts [--dir /tmp] [--blobs 1000000] [--chunk-kib 512]`.
 * Backup and restore are processes of their own; what is restored is thrown away, once it has been
 * verified. Of 512 GiB nearly all time is hashing: with chunks of 64 KiB there are as many blobs in
 * an eighth of it.
 */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { systemClock } from '../src/base/clock.ts'
import type { BlockSink, BlockSource } from '../src/disk/mod.ts'
import {
  beginWrite, copyDisk, dirNode, goTime, initRepository, openRepository,
  storeDisk, type BlobId, type Repository,
} from '../src/repository/mod.ts'
import { openLocalStorage } from '../src/storage/mod.ts'
import { CONTEXT } from './context.ts'
import { folderBytes, measure, NODE, row } from './measure.ts'

const signal = new AbortController().signal
const DISK_BYTES = 2 ** 40
/** Data and holes take turns, in runs of this length. */
const RUN_BYTES = 64 * 1024 * 1024
const { values, positionals: [command, place = '', tree = ''] } = parseArgs({
  allowPositionals: true,
  options: {
    dir: { type: 'string', default: tmpdir() },
    blobs: { type: 'string', default: '1000000' },
    'chunk-kib': { type: 'string', default: '512' },
  },
})
const chunkBytes = Number(values['chunk-kib']) * 1024
const dataBytes = Number(values.blobs) * chunkBytes

if (command === undefined) await main()
else {
  await using storage = openLocalStorage(place)
  await using repository = await openRepository(storage, CONTEXT, signal)
  if (command === 'store') await store(repository)
  else await restore(repository, tree as BlobId)
}

async function main(): Promise<void> {
  const folder = mkdtempSync(join(values.dir, 'stillpoint-bench-'))
  try {
    const repo = join(folder, 'repo')
    await initRepository(openLocalStorage(repo), CONTEXT, signal)
    const self = (...args: readonly string[]): ReturnType<typeof measure> => measure(
      NODE, [
        import.meta.filename, ...args, '--blobs', values.blobs, '--chunk-kib', values['chunk-kib']],
      { NODE_NO_WARNINGS: '1' })
    const stored = self('store', repo)
    const [treeId = '', treeBytes = '', blobs = ''] = stored.stdout.trim().split(' ')
    const restored = self('restore', repo, treeId)
    console.log(`1 TiB, ${blobs} blobs of data            wall s   CPU s RSS MiB`)
    console.log(row('backup', stored))
    console.log(row('restore, to nowhere', restored))
    console.log(`${mib(Number(treeBytes))} MiB of trees; ${mib(folderBytes(repo))} MiB in all`)
    judge('backup', stored.peakMiB, Number(blobs))
    judge('restore', restored.peakMiB, Number(blobs))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function judge(what: string, peakMiB: number, blobs: number): void {
  const budgets = JSON.parse(readFileSync(join(import.meta.dirname, 'budgets.json'), 'utf8')) as {
    'repository-write': { peakMiB: number }
    'index-memory': { bytesABlob: number }
  }
  const limit = budgets['repository-write'].peakMiB +
    (blobs * budgets['index-memory'].bytesABlob) / 2 ** 20
  const isKept = peakMiB <= limit
  const measured = `${what} ${peakMiB.toFixed(0)} MiB of ${limit.toFixed(0)}`
  console.log(`${isKept ? 'kept' : 'BROKEN'}: ${measured}`)
  if (!isKept) process.exitCode = 1
}

async function store(repository: Repository): Promise<void> {
  await using lock = await repository.lock('shared', signal)
  await using session = await beginWrite(repository, { verify: true, lock }, lock.lost)
  const { treeId } = await storeDisk(
    session, sparseDisk(), { chunkBytes }, () => {}, lock.lost)
  const root = await session.saveTree({ nodes: [dirNode('disk', treeId)] })
  await session.flush(signal)
  await session.saveSnapshot({
    time: goTime(systemClock.nowMs()), tree: root, paths: ['/bench'], hostname: 'bench' }, signal)
  let treeBytes = 0
  let blobs = 0
  for (const { kind, length } of repository.index) {
    if (kind === 'tree') treeBytes += length
    else blobs++
  }
  console.log(`${treeId} ${treeBytes} ${blobs}`)
}

/** Each chunk of data is its own. */
function sparseDisk(): BlockSource {
  const runs = Math.ceil(dataBytes / RUN_BYTES)
  const stride = DISK_BYTES / runs
  if (stride < RUN_BYTES) throw new Error('so many blobs do not fit on the disk')
  const startOf = (run: number): number =>
    Math.floor((run * stride) / chunkBytes) * chunkBytes
  return {
    name: 'sparse', sizeBytes: DISK_BYTES,
    read: async (offset, length) => {
      const bytes = new Uint8Array(length)
      const numbers = new Float64Array(bytes.buffer)
      for (let at = 0; at < length; at += chunkBytes) numbers[at / 8] = offset + at + 1
      return bytes
    },
    extents: async function* ({ offset, length }) {
      const end = offset + length
      let at = offset
      for (let run = Math.floor(offset / stride); run < runs && at < end; run++) {
        const start = Math.max(at, startOf(run))
        const stop = Math.min(end, startOf(run) + RUN_BYTES)
        if (stop <= at || start >= end) continue
        if (start > at) yield { offset: at, length: start - at, kind: 'zero' }
        yield { offset: start, length: stop - start, kind: 'data' }
        at = stop
      }
      if (at < end) yield { offset: at, length: end - at, kind: 'zero' }
    },
    [Symbol.asyncDispose]: async () => {},
  }
}

async function restore(repository: Repository, treeId: BlobId): Promise<void> {
  await using lock = await repository.lock('shared', signal)
  await repository.loadIndex(signal)
  let bytesWritten = 0
  const sink: BlockSink = {
    name: 'nowhere', sizeBytes: DISK_BYTES,
    write: async (_offset, { length }) => { bytesWritten += length },
    finish: async () => {},
    [Symbol.asyncDispose]: async () => {},
  }
  const geometry = { sizeBytes: DISK_BYTES, chunkBytes }
  await copyDisk(repository, treeId, geometry, sink, {}, () => {}, lock.lost)
  if (bytesWritten < dataBytes) throw new Error(`only ${bytesWritten} bytes came back`)
}

function mib(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(0)
}
