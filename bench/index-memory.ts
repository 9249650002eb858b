/**
 * The index of a large repository: memory a blob, time to load and to look up.
 * `tools/node bench/index-memory.ts [BLOBS]…`, default 1 and 10 million.
 *
 * Each size is measured in a process of its own, over an index built as `loadIndex` builds it, pack
 * by pack; reading and parsing of index files is measured by repository-prune.ts.
 */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { BlobIndex, type BlobId, type FileId } from '../src/repository/mod.ts'
import { measure, NODE } from './measure.ts'

const BLOBS_PER_PACK = 32
const LOOKUPS = 1_000_000
const WARM_UP = 200_000

const [first, ...others] = process.argv.slice(2)
if (first === '--step') step(Number(others[0]))
else run(first === undefined ? [1e6, 1e7] : [first, ...others].map(Number))

function run(sizes: readonly number[]): void {
  const limits = JSON.parse(readFileSync(join(import.meta.dirname, 'budgets.json'), 'utf8')) as
    { 'index-memory': { bytesABlob: number } }
  const limit = limits['index-memory'].bytesABlob
  for (const blobs of sizes) {
    const { stdout, peakMiB } = measure(NODE,
      ['--expose-gc', import.meta.filename, '--step', String(blobs)], { NODE_NO_WARNINGS: '1' })
    const { bytesABlob, buildS, lookupNs } =
      JSON.parse(stdout) as Record<'bytesABlob' | 'buildS' | 'lookupNs', number>
    const isKept = bytesABlob <= limit
    console.log(`${blobs} blobs: ${bytesABlob.toFixed(1)} bytes a blob (${
      isKept ? 'kept' : 'BROKEN'}: ${limit}), built in ${buildS.toFixed(1)} s, ${
      lookupNs.toFixed(0)} ns a look-up (making the id included), peak ${peakMiB.toFixed(0)} MiB`)
    if (!isKept) process.exitCode = 1
  }
}

/** Ids are as random as SHA-256's; one look-up in two is of a blob that is there. */
function step(blobs: number): void {
  fill(new BlobIndex(), WARM_UP) // what V8 itself takes for such work is not the index's
  const before = memoryBytes()
  const started = performance.now()
  const index = fill(new BlobIndex(), blobs)
  const buildS = (performance.now() - started) / 1000
  const bytesABlob = (memoryBytes() - before) / blobs
  const asked = performance.now()
  let found = 0
  for (let n = 0; n < LOOKUPS; n++) {
    const which = Math.floor(n * blobs / LOOKUPS)
    if (index.lookup('data', idOf(which, 2 + n % 2) as BlobId) !== undefined) found++
  }
  const lookupNs = (performance.now() - asked) * 1e6 / LOOKUPS
  if (found !== LOOKUPS / 2) throw new Error(`${found} of ${LOOKUPS / 2} were found`)
  console.log(JSON.stringify({ bytesABlob, buildS, lookupNs }))
}

function fill(index: BlobIndex, blobs: number): BlobIndex {
  for (let first = 0; first < blobs; first += BLOBS_PER_PACK) {
    const count = Math.min(BLOBS_PER_PACK, blobs - first)
    index.addPack({ id: idOf(first, 1) as FileId, blobs: Array.from({ length: count }, (_, n) => ({
      id: idOf(first + n, 2) as BlobId, kind: 'data' as const, offset: n * 300_000,
      length: 300_000, uncompressedLength: 524_288 })) })
  }
  return index
}

/** The same id for the same numbers, without keeping any. */
function idOf(number: number, kind: number): string {
  const bytes = Buffer.alloc(32)
  for (let word = 0; word < 8; word++) {
    let value = Math.imul(number + 1, 0x9e37_79b1) ^ Math.imul(kind * 8 + word + 1, 0x85eb_ca6b)
    value = Math.imul(value ^ (value >>> 16), 0xc2b2_ae35)
    bytes.writeUInt32LE((value ^ (value >>> 13)) >>> 0, word * 4)
  }
  return bytes.toString('hex')
}

/** Resident, but of V8's heap only what is in use: shared buffers are in no count of V8's. */
function memoryBytes(): number {
  global.gc?.()
  const { rss, heapTotal, heapUsed } = process.memoryUsage()
  return rss - heapTotal + heapUsed
}
