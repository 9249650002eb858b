/** Compares the packs that are stored with the index, by size or by every byte. */

import { availableParallelism } from 'node:os'
import { mapBounded } from '../../base/bounded.ts'
import { abortable } from '../../base/clock.ts'
import type { CheckFindings } from './check-findings.ts'
import { startCheckPool } from './check-pack.ts'
import { parseFileId, type FileId } from '../format/id.ts'
import type { BlobIndex } from '../index.ts'
import type { IndexedPack } from '../format/index-file.ts'
import { packBytes } from '../format/pack.ts'
import type { Repository } from '../repository.ts'

const MAX_THREADS = 4
const PACK_BYTES_IN_FLIGHT = 64 * 1024 * 1024

/** No program makes packs of this size; one would have to be held whole. */
const MAX_PACK_BYTES = 1024 ** 3

/** Checks that exactly the packs of the index are there, in their sizes; returns those. */
export async function checkPacks(
  { storage }: Repository, index: BlobIndex, findings: CheckFindings, signal: AbortSignal,
): Promise<ReadonlySet<FileId>> {
  const sizes = new Map<FileId, number>()
  for await (const { name, sizeBytes } of storage.list('data', signal)) {
    sizes.set(parseFileId(name, 'data/'), sizeBytes)
  }
  const present = new Set<FileId>()
  let done = 0
  for (const pack of index.packs()) {
    const size = sizes.get(pack.id)
    const expected = packBytes(pack.blobs)
    if (size === undefined) {
      findings.add('error', 'pack-missing',
        `data/${pack.id} is not stored, with ${pack.blobs.length} blobs`)
    } else if (size !== expected) {
      findings.add('error', 'pack-size',
        `data/${pack.id} has ${size} bytes where the index has ${expected}`)
    }
    if (size !== undefined) present.add(pack.id)
    sizes.delete(pack.id)
    checkLayout(pack, findings)
    findings.progress('packs', ++done, index.packCount)
  }
  for (const id of sizes.keys()) {
    findings.add('warning', 'pack-orphan', `data/${id} is in no index: a crashed run left it`)
  }
  return present
}

function checkLayout({ id, blobs }: IndexedPack, findings: CheckFindings): void {
  let end = 0
  for (const blob of blobs) {
    if (blob.offset !== end) {
      findings.add('error', 'pack-layout',
        `the index has blobs of data/${id} that overlap or leave a gap at ${blob.offset}`)
      break
    }
    end += blob.length
  }
  if (blobs.some((blob) => blob.kind !== blobs[0]?.kind)) {
    findings.add('warning', 'pack-mixed', `data/${id} mixes data and trees`)
  }
}

/**
 * Reads the `present` packs, opens each blob on threads, and returns how many bytes that were.
 * Fault: `worker-failed`.
 */
export async function checkData(
  { storage, masterKey }: Repository, index: BlobIndex, present: ReadonlySet<FileId>,
  findings: CheckFindings, signal: AbortSignal,
): Promise<number> {
  const threads = Math.min(availableParallelism(), MAX_THREADS)
  await using pool = startCheckPool(masterKey, threads)
  const bounds = {
    inFlight: 2 * threads, inFlightBytes: PACK_BYTES_IN_FLIGHT,
    sizeOf: (pack: IndexedPack) => packBytes(pack.blobs),
  }
  const checkOne = (pack: IndexedPack) => findings.attempt(async () => {
    const place = { kind: 'data', name: pack.id } as const
    const file = await storage.get(place, { maxBytes: MAX_PACK_BYTES }, signal)
    const bytes = file.length
    const found = await abortable(pool.ask({ pack, file }, [file.buffer]), signal)
    return { bytes, found }
  }).then((checked) => ({ pack, checked }))
  let bytesRead = 0
  let done = 0
  for await (const { pack, checked } of mapBounded(only(present, index), bounds, checkOne)) {
    findings.progress('data', ++done, present.size)
    if (checked instanceof Error) {
      findings.add('error', 'pack-damaged', `data/${pack.id} cannot be read: ${checked.message}`)
      continue
    }
    bytesRead += checked.bytes
    for (const { code, message } of checked.found) findings.add('error', code, message)
  }
  return bytesRead
}

function* only(present: ReadonlySet<FileId>, index: BlobIndex): Generator<IndexedPack> {
  for (const pack of index.packs()) if (present.has(pack.id)) yield pack
}
