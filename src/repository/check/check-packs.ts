/** Compares the packs that are stored with the index, by size or by every byte. */

import { mapBounded } from '../../base/bounded.ts'
import { openBlob } from '../format/blob.ts'
import type { CheckFindings } from './check-findings.ts'
import { fileIdOf, parseFileId, type FileId } from '../format/id.ts'
import type { BlobIndex } from '../index.ts'
import type { IndexedPack } from '../format/index-file.ts'
import { packBytes, readPackHeader, type PackedBlob } from '../format/pack.ts'
import type { Repository } from '../repository.ts'

const PACKS_IN_FLIGHT = 3
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

/** Reads the `present` packs, opens each blob, and returns how many bytes that were. */
export async function checkData(
  { storage, masterKey }: Repository, index: BlobIndex, present: ReadonlySet<FileId>,
  findings: CheckFindings, signal: AbortSignal,
): Promise<number> {
  const bounds = {
    inFlight: PACKS_IN_FLIGHT, inFlightBytes: PACK_BYTES_IN_FLIGHT,
    sizeOf: (pack: IndexedPack) => packBytes(pack.blobs),
  }
  const fetch = async (pack: IndexedPack) => ({
    pack,
    file: await findings.attempt(() =>
      storage.get({ kind: 'data', name: pack.id }, { maxBytes: MAX_PACK_BYTES }, signal)),
  })
  let bytesRead = 0
  let done = 0
  for await (const { pack, file } of mapBounded(only(present, index), bounds, fetch)) {
    findings.progress('data', ++done, present.size)
    if (file instanceof Error) {
      findings.add('error', 'pack-damaged', `data/${pack.id} cannot be read: ${file.message}`)
      continue
    }
    bytesRead += file.length
    if (fileIdOf(file) !== pack.id) {
      findings.add('error', 'pack-damaged', `data/${pack.id} has other content than its name says`)
    }
    const header = await findings.attempt(() =>
      readPackHeader(file, masterKey, `data/${pack.id}`))
    if (header instanceof Error) findings.add('error', 'pack-damaged', header.message)
    else if (!areSame(header, pack.blobs)) {
      findings.add('error', 'pack-damaged', `data/${pack.id} lists other blobs than the index`)
    }
    for (const blob of pack.blobs) {
      const opened = await findings.attempt(() =>
        openBlob(masterKey, blob, file.subarray(blob.offset, blob.offset + blob.length)))
      if (opened instanceof Error) {
        findings.add('error', 'blob-damaged', `in data/${pack.id}: ${opened.message}`)
      }
    }
  }
  return bytesRead
}

function* only(present: ReadonlySet<FileId>, index: BlobIndex): Generator<IndexedPack> {
  for (const pack of index.packs()) if (present.has(pack.id)) yield pack
}

function areSame(a: readonly PackedBlob[], b: readonly PackedBlob[]): boolean {
  return a.length === b.length && a.every((one, i) => {
    const other = b[i]
    return one.id === other?.id && one.kind === other.kind && one.offset === other.offset &&
      one.length === other.length && one.uncompressedLength === other.uncompressedLength
  })
}
