/**
 * What an increment of a 1 TiB disk adds beside its data, when 0.1 % of it changed in 20 spots:
 * `tools/node bench/repository-metadata.ts`. The base is made of trees alone, with ids of nothing.
 */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { seededRandom } from '../src/base/random.ts'
import type { BlockSource } from '../src/disk/mod.ts'
import {
  beginWrite, dirNode, fileNode, initRepository, openRepository, storeDisk, DEFAULT_CHUNK_BYTES,
  SEGMENT_BYTES, type BlobId, type WriteSession,
} from '../src/repository/mod.ts'
import { openMemoryStorage } from '../src/storage/testing/mod.ts'
import { CONTEXT } from './context.ts'

const signal = new AbortController().signal
const DISK_BYTES = 2 ** 40
const SPOT_BYTES = 52 * 1024 * 1024
const storage = openMemoryStorage()
await initRepository(storage, CONTEXT, signal)
await using repository = await openRepository(storage, CONTEXT, signal)
await using session = await beginWrite(repository, {}, signal)
const treeId = await saveBase(session)
await session.flush(signal)

const before = treeBytes()
const source: BlockSource = {
  name: 'changed', sizeBytes: DISK_BYTES,
  read: async (offset, length) => {
    const bytes = new Uint8Array(length)
    const chunks = new Float64Array(bytes.buffer)
    // Each chunk is its own, and compresses well: data is not what is measured.
    for (let at = 0; at < length; at += DEFAULT_CHUNK_BYTES) chunks[at / 8] = offset + at + 1
    return bytes
  },
  [Symbol.asyncDispose]: async () => {},
}
const changed = Array.from({ length: 20 }, (_, n) =>
  ({ offset: Math.floor((n * DISK_BYTES) / 20 / 65_536) * 65_536, length: SPOT_BYTES }))
const started = performance.now()
await storeDisk(session, source, {
  chunkBytes: DEFAULT_CHUNK_BYTES, base: { repository, treeId, changed } }, () => {}, signal)
await session.flush(signal)

const added = treeBytes() - before
const limits = JSON.parse(readFileSync(join(import.meta.dirname, 'budgets.json'), 'utf8')) as
  { 'repository-metadata': { treeBytes: number } }
const limit = limits['repository-metadata'].treeBytes
const seconds = ((performance.now() - started) / 1000).toFixed(1)
console.log(`1 TiB, 0.1 % changed in 20 spots: ${added} bytes of trees in ${seconds} s`)
console.log(`${added <= limit ? 'kept' : 'BROKEN'}: treeBytes ${added} of ${limit}`)
if (added > limit) process.exitCode = 1

async function saveBase(session: WriteSession): Promise<BlobId> {
  const random = seededRandom(1)
  const groups = []
  for (let group = 0; group < DISK_BYTES / SEGMENT_BYTES / 64; group++) {
    const segments = []
    for (let segment = 0; segment < 64; segment++) {
      const ids = Array.from({ length: SEGMENT_BYTES / DEFAULT_CHUNK_BYTES }, () =>
        Buffer.from(random(32)).toString('hex') as BlobId)
      const file = await session.saveTree({ nodes: [fileNode('seg', SEGMENT_BYTES, ids)] })
      segments.push(dirNode(String(segment).padStart(2, '0'), file))
    }
    const folder = await session.saveTree({ nodes: segments })
    groups.push(dirNode(String(group).padStart(4, '0'), folder))
  }
  return session.saveTree({ nodes: groups })
}

function treeBytes(): number {
  let bytes = 0
  for (const { kind, length } of repository.index) if (kind === 'tree') bytes += length
  return bytes
}
