/**
 * The index in memory: 56 to 60 bytes a blob, in SharedArrayBuffers so that worker threads can
 * look blobs up. A Map of strings would take four times as much and ends at 16 million entries.
 */

import assert from 'node:assert/strict'
import type { BlobKind } from './format/blob.ts'
import {
  blobIdFromBytes, fileIdFromBytes, ID_BYTES, writeId, type BlobId, type FileId,
} from './format/id.ts'
import type { IndexedPack } from './format/index-file.ts'
import type { PackedBlob } from './format/pack.ts'

/** Where a blob is stored. */
export interface BlobLocation extends PackedBlob {
  readonly packId: FileId
}

/** What `BlobIndex.share` hands to another thread; made of nothing but shared memory. */
export interface SharedBlobIndex {
  readonly count: number
  readonly segments: readonly SharedArrayBuffer[]
  readonly slots: SharedArrayBuffer
  readonly packIds: SharedArrayBuffer
}

// An entry is 12 words: the id (8), kind and pack number, offset, length, uncompressed length.
const ID_WORDS = ID_BYTES / 4
const ENTRY_WORDS = 12
const PACK_WORD = 8
const TREE_BIT = 0x8000_0000
const SEGMENT_BITS = 16
const SEGMENT_ENTRIES = 1 << SEGMENT_BITS
const SEGMENT_MASK = SEGMENT_ENTRIES - 1

/** Slots are doubled when three of four are taken. */
const MAX_LOAD = 0.75

type Words = Uint32Array<SharedArrayBuffer>

/** A hash table of blobs, open addressing with linear probing. Blobs are only ever added. */
export class BlobIndex {
  #count = 0
  #isAttached = false
  #segments: Words[] = []
  /** Entry number + 1, or 0 where the slot is free; a power of two of them. */
  #slots: Words = sharedWords(1024)
  #packIds = new Uint8Array(new SharedArrayBuffer(64 * ID_BYTES))
  readonly #packNumbers = new Map<FileId, number>()
  /** The id that is looked for, in both views. */
  readonly #wanted = new Uint32Array(ID_WORDS)
  readonly #wantedBytes = new Uint8Array(this.#wanted.buffer)

  /** An index over the memory of another thread's: for looking up only. */
  static attach(shared: SharedBlobIndex): BlobIndex {
    const index = new BlobIndex()
    index.#isAttached = true
    index.#count = shared.count
    index.#segments = shared.segments.map((segment) => new Uint32Array(segment))
    index.#slots = new Uint32Array(shared.slots)
    index.#packIds = new Uint8Array(shared.packIds)
    return index
  }

  /** What `attach` takes. Blobs that are added later are not seen through it. */
  share(): SharedBlobIndex {
    return {
      count: this.#count,
      segments: this.#segments.map((segment) => segment.buffer),
      slots: this.#slots.buffer,
      packIds: this.#packIds.buffer,
    }
  }

  /** How many blobs it holds; one that is stored twice counts twice. */
  get size(): number {
    return this.#count
  }

  get packCount(): number {
    return this.#packNumbers.size
  }

  /** The packs it knows blobs of, in the order they came, which `packs` yields them in too. */
  packIds(): Iterable<FileId> {
    return this.#packNumbers.keys()
  }

  /** What `at` says but for the ids, at a fraction of its cost; `pack` counts as `packIds` does. */
  placeOf(entry: number): Omit<PackedBlob, 'id'> & { readonly pack: number } {
    const words = this.#segmentOf(entry)
    const base = (entry & SEGMENT_MASK) * ENTRY_WORDS
    const packWord = words[base + PACK_WORD] ?? 0
    return {
      pack: packWord % TREE_BIT,
      kind: packWord >= TREE_BIT ? 'tree' : 'data',
      offset: words[base + 9] ?? 0,
      length: words[base + 10] ?? 0,
      uncompressedLength: words[base + 11] ?? 0,
    }
  }

  /** The first entry of the blob that an entry is of: `entryOf` without its id spelled out. */
  firstEntryOf(entry: number): number {
    const base = (entry & SEGMENT_MASK) * ENTRY_WORDS
    const words = this.#segmentOf(entry)
    for (let i = 0; i < ID_WORDS; i++) this.#wanted[i] = words[base + i] ?? 0
    const kind = (words[base + PACK_WORD] ?? 0) >= TREE_BIT ? 'tree' : 'data'
    return (this.#slots[this.#probe(kind, this.#firstSlot())] ?? 0) - 1
  }

  /** Adds the blobs of a pack; those it has already at the same place are left out. */
  addPack(pack: IndexedPack): void {
    assert.ok(!this.#isAttached, 'an attached index cannot be added to')
    const known = this.#packNumbers.get(pack.id)
    const packNumber = known ?? this.#addPackId(pack.id)
    for (const blob of pack.blobs) {
      writeId(this.#wantedBytes, 0, blob.id)
      if (known === undefined || !this.#isHeld(packNumber, blob)) this.#insert(packNumber, blob)
    }
  }

  has(kind: BlobKind, id: BlobId): boolean {
    return this.entryOf(kind, id) >= 0
  }

  /** As `has`, for the binary id at `offset` of `bytes`. */
  hasBytes(kind: BlobKind, bytes: Uint8Array, offset = 0): boolean {
    this.#wantedBytes.set(bytes.subarray(offset, offset + ID_BYTES))
    return this.#probe(kind, this.#firstSlot()) >= 0
  }

  /** The number of the blob's first entry, 0 to `size` - 1, or -1: for sets of blobs as bits. */
  entryOf(kind: BlobKind, id: BlobId): number {
    writeId(this.#wantedBytes, 0, id)
    const slot = this.#probe(kind, this.#firstSlot())
    return slot < 0 ? -1 : (this.#slots[slot] ?? 0) - 1
  }

  /** One place where the blob is stored, or undefined. */
  lookup(kind: BlobKind, id: BlobId): BlobLocation | undefined {
    const entry = this.entryOf(kind, id)
    return entry < 0 ? undefined : this.at(entry)
  }

  /** All places where the blob is stored. */
  lookupAll(kind: BlobKind, id: BlobId): readonly BlobLocation[] {
    writeId(this.#wantedBytes, 0, id)
    return this.#allEntries(kind).map((entry) => this.at(entry))
  }

  /** The blob of an entry number. */
  at(entry: number): BlobLocation {
    assert.ok(entry >= 0 && entry < this.#count)
    const words = this.#segmentOf(entry)
    const base = (entry & SEGMENT_MASK) * ENTRY_WORDS
    const packWord = words[base + PACK_WORD] ?? 0
    return {
      kind: packWord >= TREE_BIT ? 'tree' : 'data',
      id: blobIdFromBytes(new Uint8Array(words.buffer), base * 4),
      packId: this.#packIdOf(packWord % TREE_BIT),
      offset: words[base + 9] ?? 0,
      length: words[base + 10] ?? 0,
      uncompressedLength: words[base + 11] ?? 0,
    }
  }

  /** All blobs, in the order they came. */
  *[Symbol.iterator](): Generator<BlobLocation, void, undefined> {
    for (let entry = 0; entry < this.#count; entry++) yield this.at(entry)
  }

  /** Pack by pack, the blobs of each ascending by offset. Takes 4 bytes a blob while it runs. */
  *packs(): Generator<IndexedPack, void, undefined> {
    const ends = new Uint32Array(this.packCount)
    for (let entry = 0; entry < this.#count; entry++) count(ends, this.#packNumberOf(entry))
    let end = 0
    for (const [pack, blobs] of ends.entries()) ends[pack] = end += blobs
    const sorted = new Uint32Array(this.#count)
    const starts = ends.slice()
    for (let entry = this.#count - 1; entry >= 0; entry--) {
      const pack = this.#packNumberOf(entry)
      const at = (starts[pack] ?? 0) - 1
      starts[pack] = at
      sorted[at] = entry
    }
    for (let pack = 0; pack < ends.length; pack++) {
      const entries = sorted.subarray(starts[pack], ends[pack])
      const blobs = Array.from(entries, (entry) => this.at(entry))
      yield { id: this.#packIdOf(pack), blobs: blobs.sort((a, b) => a.offset - b.offset) }
    }
  }

  #addPackId(id: FileId): number {
    const packNumber = this.#packNumbers.size
    if ((packNumber + 1) * ID_BYTES > this.#packIds.length) {
      const larger = new Uint8Array(new SharedArrayBuffer(this.#packIds.length * 2))
      larger.set(this.#packIds)
      this.#packIds = larger
    }
    writeId(this.#packIds, packNumber * ID_BYTES, id)
    this.#packNumbers.set(id, packNumber)
    return packNumber
  }

  #packIdOf(packNumber: number): FileId {
    return fileIdFromBytes(this.#packIds, packNumber * ID_BYTES)
  }

  #packNumberOf(entry: number): number {
    const base = (entry & SEGMENT_MASK) * ENTRY_WORDS
    return (this.#segmentOf(entry)[base + PACK_WORD] ?? 0) % TREE_BIT
  }

  #segmentOf(entry: number): Words {
    const segment = this.#segments[entry >>> SEGMENT_BITS]
    assert.ok(segment !== undefined)
    return segment
  }

  /** Whether the wanted blob is known at this place of this pack. */
  #isHeld(packNumber: number, blob: PackedBlob): boolean {
    return this.#allEntries(blob.kind).some((entry) =>
      this.#packNumberOf(entry) === packNumber && this.at(entry).offset === blob.offset)
  }

  #allEntries(kind: BlobKind): readonly number[] {
    const entries: number[] = []
    for (let slot = this.#firstSlot();; slot = (slot + 1) & (this.#slots.length - 1)) {
      slot = this.#probe(kind, slot)
      if (slot < 0) return entries
      entries.push((this.#slots[slot] ?? 0) - 1)
    }
  }

  /** Ids are hashes already: their first word picks the slot. */
  #firstSlot(): number {
    return (this.#wanted[0] ?? 0) & (this.#slots.length - 1)
  }

  /** The first slot from `slot` on that holds the wanted id, or -1 if a free one comes first. */
  #probe(kind: BlobKind, slot: number): number {
    const slots = this.#slots
    const mask = slots.length - 1
    for (;; slot = (slot + 1) & mask) {
      const entry = (slots[slot] ?? 0) - 1
      if (entry < 0) return -1
      // Another thread may have added it after it shared the index.
      if (entry < this.#count && this.#isWanted(kind, entry)) return slot
    }
  }

  #isWanted(kind: BlobKind, entry: number): boolean {
    const words = this.#segmentOf(entry)
    const base = (entry & SEGMENT_MASK) * ENTRY_WORDS
    for (let i = 0; i < ID_WORDS; i++) if (words[base + i] !== this.#wanted[i]) return false
    return ((words[base + PACK_WORD] ?? 0) >= TREE_BIT) === (kind === 'tree')
  }

  /** Adds the wanted blob. */
  #insert(packNumber: number, blob: PackedBlob): void {
    if (this.#count + 1 > this.#slots.length * MAX_LOAD) this.#doubleSlots()
    const entry = this.#count
    if ((entry & SEGMENT_MASK) === 0) {
      this.#segments.push(sharedWords(SEGMENT_ENTRIES * ENTRY_WORDS))
    }
    const words = this.#segmentOf(entry)
    const base = (entry & SEGMENT_MASK) * ENTRY_WORDS
    words.set(this.#wanted, base)
    words[base + PACK_WORD] = packNumber + (blob.kind === 'tree' ? TREE_BIT : 0)
    words[base + 9] = blob.offset
    words[base + 10] = blob.length
    words[base + 11] = blob.uncompressedLength
    this.#count = entry + 1
    takeSlot(this.#slots, this.#firstSlot(), entry)
  }

  #doubleSlots(): void {
    const slots = sharedWords(this.#slots.length * 2)
    for (let entry = 0; entry < this.#count; entry++) {
      const first = this.#segmentOf(entry)[(entry & SEGMENT_MASK) * ENTRY_WORDS] ?? 0
      takeSlot(slots, first & (slots.length - 1), entry)
    }
    this.#slots = slots
  }
}

function sharedWords(length: number): Words {
  return new Uint32Array(new SharedArrayBuffer(length * 4))
}

function takeSlot(slots: Words, slot: number, entry: number): void {
  const mask = slots.length - 1
  while (slots[slot] !== 0) slot = (slot + 1) & mask
  slots[slot] = entry + 1
}

function count(counts: Uint32Array, at: number): void {
  counts[at] = (counts[at] ?? 0) + 1
}
