/**
 * Packs: sealed blobs one after another, a sealed header that lists them, and the header's length
 * (restic design, "Pack Format").
 */

import { createHash, type Hash } from 'node:crypto'
import assert from 'node:assert/strict'
import { Fault } from '../../base/fault.ts'
import type { RandomBytes } from '../../base/random.ts'
import type { BlobKind } from './blob.ts'
import { SEAL_OVERHEAD_BYTES, type MasterKey } from './crypto.ts'
import { blobIdFromBytes, ID_BYTES, writeId, type BlobId, type FileId } from './id.ts'

/** A blob's place in its pack. */
export interface PackedBlob {
  readonly kind: BlobKind
  readonly id: BlobId
  readonly offset: number
  /** Bytes as stored, sealed. */
  readonly length: number
  /** Bytes of the plaintext; 0 where it is stored uncompressed. */
  readonly uncompressedLength: number
}

/** A pack is finished once it has this size; the last blob may take it beyond. */
export const TARGET_PACK_BYTES = 16 * 1024 * 1024

/**
 * A pack is finished at this many blobs, too: chunks that compress to nothing would fill one with
 * 150 000, and what is known of each is in memory several times until it is in an index file.
 */
export const MAX_BLOBS_PER_PACK = 8192

/** restic reads no longer header: about 400 000 blobs. */
export const MAX_PACK_HEADER_BYTES = 16 * 1024 * 1024

const LENGTH_FIELD_BYTES = 4
const RAW_ENTRY_BYTES = 1 + 4 + ID_BYTES
const COMPRESSED_ENTRY_BYTES = RAW_ENTRY_BYTES + 4
const MAX_U32 = 0xffff_ffff

/** Bytes of the entry of a blob in the header. */
function entryBytes(blob: { readonly uncompressedLength: number }): number {
  return blob.uncompressedLength === 0 ? RAW_ENTRY_BYTES : COMPRESSED_ENTRY_BYTES
}

/** The size of the file that holds exactly `blobs`. */
export function packBytes(
  blobs: Iterable<Pick<PackedBlob, 'length' | 'uncompressedLength'>>): number {
  let size = SEAL_OVERHEAD_BYTES + LENGTH_FIELD_BYTES
  for (const blob of blobs) size += blob.length + entryBytes(blob)
  return size
}

/** The header's plaintext. Offsets are not in it: blobs follow one another without a gap. */
export function encodePackHeader(blobs: readonly PackedBlob[]): Uint8Array<ArrayBuffer> {
  const header = new Uint8Array(blobs.reduce((size, blob) => size + entryBytes(blob), 0))
  const view = new DataView(header.buffer)
  let at = 0
  for (const blob of blobs) {
    const isCompressed = blob.uncompressedLength > 0
    header[at] = (blob.kind === 'tree' ? 1 : 0) | (isCompressed ? 2 : 0)
    view.setUint32(at + 1, blob.length, true)
    if (isCompressed) view.setUint32(at + 5, blob.uncompressedLength, true)
    writeId(header, at + entryBytes(blob) - ID_BYTES, blob.id)
    at += entryBytes(blob)
  }
  return header
}

/** Reads a header's plaintext. Fault: `repository-damaged`, naming `what`. */
export function parsePackHeader(header: Uint8Array, what: string): readonly PackedBlob[] {
  const damaged = (how: string): Fault => new Fault('repository-damaged', `${what} ${how}`)
  if (header.length > MAX_PACK_HEADER_BYTES) throw damaged('has a header that is too long')
  const view = new DataView(header.buffer, header.byteOffset, header.byteLength)
  const blobs: PackedBlob[] = []
  let offset = 0
  for (let at = 0; at < header.length;) {
    const type = view.getUint8(at)
    if (type > 3) throw damaged(`lists a blob of unknown type ${type}`)
    const isCompressed = type >= 2
    const next = at + (isCompressed ? COMPRESSED_ENTRY_BYTES : RAW_ENTRY_BYTES)
    if (next > header.length) throw damaged('has a header that ends within an entry')
    const length = view.getUint32(at + 1, true)
    const uncompressedLength = isCompressed ? view.getUint32(at + 5, true) : 0
    if (length <= SEAL_OVERHEAD_BYTES || (isCompressed && uncompressedLength === 0)) {
      throw damaged('lists an empty blob')
    }
    if (offset + length > MAX_U32) throw damaged('lists more than 4 GiB of blobs')
    const id = blobIdFromBytes(header, next - ID_BYTES)
    blobs.push({ kind: type % 2 === 1 ? 'tree' : 'data', id, offset, length, uncompressedLength })
    offset += length
    at = next
  }
  return blobs
}

/**
 * The blobs that a whole pack's own header lists, which fill it exactly.
 * Fault: `repository-damaged`, naming `what`.
 */
export function readPackHeader(
  pack: Uint8Array, key: MasterKey, what: string): readonly PackedBlob[] {
  const damaged = (how: string): Fault => new Fault('repository-damaged', `${what} ${how}`)
  if (pack.length < SEAL_OVERHEAD_BYTES + LENGTH_FIELD_BYTES) throw damaged('is too short')
  const view = new DataView(pack.buffer, pack.byteOffset, pack.byteLength)
  const end = pack.length - LENGTH_FIELD_BYTES
  const headerBytes = view.getUint32(end, true)
  if (headerBytes > end || headerBytes > MAX_PACK_HEADER_BYTES + SEAL_OVERHEAD_BYTES) {
    throw damaged('names an impossible length of its header')
  }
  const header = key.open(pack.subarray(end - headerBytes, end), `the header of ${what}`)
  const blobs = parsePackHeader(header, what)
  if (packBytes(blobs) !== pack.length) throw damaged('has a gap between its blobs and its header')
  return blobs
}

/** A pack that is complete and not stored yet: store `parts`, joined, as `data/<id>`. */
export interface FinishedPack {
  readonly id: FileId
  readonly parts: readonly Uint8Array[]
  readonly sizeBytes: number
  readonly blobs: readonly PackedBlob[]
}

/** Gathers sealed blobs of one kind into a pack; restic allows one kind a pack in version 2. */
export class PackBuilder {
  readonly kind: BlobKind
  readonly #key: MasterKey
  readonly #random: RandomBytes
  readonly #hash: Hash = createHash('sha256')
  readonly #parts: Uint8Array[] = []
  readonly #blobs: PackedBlob[] = []
  #offset = 0

  constructor(kind: BlobKind, key: MasterKey, random: RandomBytes) {
    this.kind = kind
    this.#key = key
    this.#random = random
  }

  get blobCount(): number {
    return this.#blobs.length
  }

  /** The blobs so far, in their order. */
  get blobs(): readonly PackedBlob[] {
    return this.#blobs
  }

  /** Bytes of the blobs so far, without the header. */
  get blobBytes(): number {
    return this.#offset
  }

  /** True once the pack should be finished before another blob comes. */
  get isFull(): boolean {
    return this.#offset >= TARGET_PACK_BYTES || this.#blobs.length >= MAX_BLOBS_PER_PACK
  }

  /** Appends a blob; `sealed` belongs to the builder from here on and must not change. */
  add(id: BlobId, sealed: Uint8Array, uncompressedLength: number): void {
    assert.ok(!this.isFull && sealed.length > SEAL_OVERHEAD_BYTES)
    const place = { offset: this.#offset, length: sealed.length }
    this.#blobs.push({ kind: this.kind, id, ...place, uncompressedLength })
    this.#parts.push(sealed)
    this.#hash.update(sealed)
    this.#offset += sealed.length
  }

  /** Seals the header. The builder has at least one blob and is used up. */
  finish(): FinishedPack {
    assert.ok(this.#blobs.length > 0)
    const header = this.#key.seal(encodePackHeader(this.#blobs), this.#random)
    const tail = new Uint8Array(header.length + LENGTH_FIELD_BYTES)
    tail.set(header)
    new DataView(tail.buffer).setUint32(header.length, header.length, true)
    this.#hash.update(tail)
    return {
      id: this.#hash.digest('hex') as FileId,
      parts: [...this.#parts, tail],
      sizeBytes: this.#offset + tail.length,
      blobs: this.#blobs,
    }
  }
}
