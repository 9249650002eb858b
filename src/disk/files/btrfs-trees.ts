/**
 * The trees of a btrfs on one device (btrfs.readthedocs.io, "On-disk Format"; kernel,
 * include/uapi/linux/btrfs_tree.h). Only what the last transaction committed is read; a volume
 * with a tree of later syncs, which would have to be replayed, is refused.
 */

import { rawCrc32c } from '../probe/crc32c.ts'
import type { Window } from '../probe/window.ts'
import { fail, readWindow } from './image-file.ts'

const SUPERBLOCK_OFFSET = 65_536
const SUPERBLOCK_BYTES = 4096
const MAGIC = '_BHRfS_M'
const CSUM_CRC32C = 0
/**
 * What changes nothing of how these trees are read: MIXED_BACKREF, DEFAULT_SUBVOL, MIXED_GROUPS,
 * COMPRESS_LZO, COMPRESS_ZSTD, BIG_METADATA, EXTENDED_IREF, SKINNY_METADATA, NO_HOLES,
 * METADATA_UUID, SIMPLE_QUOTA.
 */
const KNOWN_INCOMPAT = 0x1077fn
const SYSTEM_CHUNKS_AT = 0x32b
const MAX_SYSTEM_CHUNKS = 2048
const HEADER_BYTES = 101
const ITEM_BYTES = 25
const POINTER_BYTES = 33
const KEY_BYTES = 17
const MAX_LEVEL = 7
const CHUNK_ITEM = 228
const CHUNKS_OBJECT = 256
/** Of chunks with one copy, or with two on the same device (DUP), of which the first is read. */
const OTHER_PROFILES = 0x7d8n
const MAX_CHUNKS = 100_000
const NODES_KEPT = 64
const DATA_BYTES = 512 * 1024

/** An object's number, an item's type and its offset as one number that sorts as keys do. */
export type BtrfsKey = bigint

export function btrfsKey(object: bigint, type: number, offset: bigint): BtrfsKey {
  return (object << 72n) | (BigInt(type) << 64n) | offset
}

export function offsetOf(key: BtrfsKey): bigint {
  return key & 0xffff_ffff_ffff_ffffn
}

export const LAST_OFFSET = 0xffff_ffff_ffff_ffffn

export interface BtrfsItem {
  readonly key: BtrfsKey
  readonly data: Buffer
}

/** Where a tree's topmost node is. */
export interface BtrfsTree {
  readonly address: number
  readonly level: number
}

interface Chunk {
  readonly start: number
  readonly length: number
  readonly physical: number
}

interface Node {
  readonly bytes: Buffer
  readonly level: number
  readonly keys: readonly BtrfsKey[]
}

export class BtrfsTrees {
  /** The tree of all trees. */
  readonly roots: BtrfsTree
  readonly #window: Window
  readonly #nodeBytes: number
  readonly #chunks: Chunk[] = []
  readonly #nodes = new Map<number, Node>()

  private constructor(window: Window, superblock: Buffer) {
    this.#window = window
    this.#nodeBytes = superblock.readUInt32LE(0x94)
    this.roots = { address: address(superblock, 0x50), level: superblock.readUInt8(0xc6) }
  }

  /** Fault: `disk-unreadable` if it is none, is damaged or has what is not read here. */
  static async open(window: Window): Promise<BtrfsTrees> {
    const superblock = await readWindow(window, SUPERBLOCK_OFFSET, SUPERBLOCK_BYTES)
    checkSuperblock(superblock)
    const trees = new BtrfsTrees(window, superblock)
    trees.#addSystemChunks(superblock)
    const chunks = { address: address(superblock, 0x58), level: superblock.readUInt8(0xc7) }
    const object = BigInt(CHUNKS_OBJECT)
    const found: Chunk[] = []
    for await (const { key, data } of trees.items(chunks, btrfsKey(object, CHUNK_ITEM, 0n),
      btrfsKey(object, CHUNK_ITEM, LAST_OFFSET))) {
      if (found.length >= MAX_CHUNKS) fail('it has more chunks than can be')
      found.push(...chunkOf(offsetOf(key), data))
    }
    trees.#chunks.splice(0, Infinity, ...found)
    return trees
  }

  /** What is between two keys, both included, in order. */
  items(tree: BtrfsTree, from: BtrfsKey, to: BtrfsKey): AsyncGenerator<BtrfsItem, void, undefined> {
    if (tree.level > MAX_LEVEL) fail('a tree of it is deeper than can be')
    return this.#walk(tree, undefined, from, to)
  }

  /** The item of just that key. */
  async item(tree: BtrfsTree, key: BtrfsKey): Promise<Buffer | undefined> {
    for await (const { data } of this.items(tree, key, key)) return data
    return undefined
  }

  /** Bytes of a file's extent. */
  async read(logical: number, length: number): Promise<Buffer> {
    const pieces: Buffer[] = []
    for (let done = 0; done < length; done += DATA_BYTES) {
      pieces.push(await this.#readLogical(logical + done, Math.min(DATA_BYTES, length - done)))
    }
    return Buffer.concat(pieces)
  }

  /** Each level is one lower, so it ends; no node is in two places, as keys say where it is. */
  async* #walk(
    tree: BtrfsTree, bounds: { readonly first: BtrfsKey; readonly end: BtrfsKey } | undefined,
    from: BtrfsKey, to: BtrfsKey,
  ): AsyncGenerator<BtrfsItem, void, undefined> {
    const { bytes, keys } = await this.#node(tree)
    const [first] = keys
    const last = keys.at(-1)
    const isInPlace = bounds === undefined ||
      (first === bounds.first && last !== undefined && last < bounds.end)
    if (!isInPlace) fail('a node of its trees is not where it should be')
    for (const [index, key] of keys.entries()) {
      if (key > to) return
      if (tree.level === 0) {
        if (key >= from) yield { key, data: this.#itemData(bytes, index, keys.length) }
        continue
      }
      const end = keys[index + 1] ?? bounds?.end ?? btrfsKey(LAST_OFFSET, 255, LAST_OFFSET) + 1n
      if (end <= from) continue
      const child = {
        address: address(bytes, HEADER_BYTES + index * POINTER_BYTES + KEY_BYTES),
        level: tree.level - 1 }
      yield* this.#walk(child, { first: key, end }, from, to)
    }
  }

  #itemData(bytes: Buffer, index: number, count: number): Buffer {
    const at = HEADER_BYTES + index * ITEM_BYTES + KEY_BYTES
    const [offset, size] = [bytes.readUInt32LE(at), bytes.readUInt32LE(at + 4)]
    const start = HEADER_BYTES + offset
    const isInside = offset >= count * ITEM_BYTES && start + size <= bytes.length
    return isInside ? bytes.subarray(start, start + size) : fail('a leaf of its trees is damaged')
  }

  async #node({ address, level }: BtrfsTree): Promise<Node> {
    const known = this.#nodes.get(address)
    if (known?.level === level) return known
    const bytes = await this.#readLogical(address, this.#nodeBytes)
    const isWhole = crc32c(bytes.subarray(32)) === bytes.readUInt32LE(0) &&
      bytes.readBigUInt64LE(48) === BigInt(address) && bytes.readUInt8(100) === level
    if (!isWhole) fail('a node of its trees is damaged')
    const count = bytes.readUInt32LE(96)
    const step = level === 0 ? ITEM_BYTES : POINTER_BYTES
    if (count * step > bytes.length - HEADER_BYTES) fail('a node of its trees is damaged')
    const keys = Array.from({ length: count }, (_, index) =>
      keyAt(bytes, HEADER_BYTES + index * step))
    if (keys.some((key, index) => index > 0 && key <= (keys[index - 1] ?? 0n))) {
      fail('a node of its trees is out of order')
    }
    const node = { bytes, level, keys }
    const [oldest] = this.#nodes.keys()
    if (this.#nodes.size >= NODES_KEPT && oldest !== undefined) this.#nodes.delete(oldest)
    this.#nodes.set(address, node)
    return node
  }

  async #readLogical(logical: number, length: number): Promise<Buffer> {
    const chunk = this.#chunks.find(({ start, length: all }) =>
      logical >= start && logical - start <= all - length)
    return chunk === undefined ? fail(`it points at ${logical}, which no chunk has`)
      : readWindow(this.#window, chunk.physical + logical - chunk.start, length)
  }

  /** Those that lead to the tree of chunks are in the superblock itself. */
  #addSystemChunks(superblock: Buffer): void {
    const size = Math.min(superblock.readUInt32LE(0xa0), MAX_SYSTEM_CHUNKS)
    const chunks = superblock.subarray(SYSTEM_CHUNKS_AT, SYSTEM_CHUNKS_AT + size)
    for (let at = 0; at + KEY_BYTES + 48 <= chunks.length;) {
      const data = chunks.subarray(at + KEY_BYTES)
      this.#chunks.push(...chunkOf(chunks.readBigUInt64LE(at + 9), data))
      at += KEY_BYTES + 48 + 32 * data.readUInt16LE(44)
    }
  }
}

function checkSuperblock(bytes: Buffer): void {
  if (bytes.toString('latin1', 0x40, 0x48) !== MAGIC) fail('it has no superblock of btrfs')
  if (bytes.readUInt16LE(0xc4) !== CSUM_CRC32C) fail('its checksums are of a kind that is not read')
  if (crc32c(bytes.subarray(32)) !== bytes.readUInt32LE(0)) {
    fail('the superblock\'s checksum is wrong')
  }
  const incompat = bytes.readBigUInt64LE(0xbc)
  if ((incompat & ~KNOWN_INCOMPAT) !== 0n) {
    fail(`it has features that are not read (${incompat.toString(16)})`)
  }
  if (bytes.readBigUInt64LE(0x88) !== 1n) fail('it is on more devices than one')
  if (bytes.readBigUInt64LE(0x60) !== 0n) fail('its log would have to be replayed first')
  const nodeBytes = bytes.readUInt32LE(0x94)
  if (![4096, 8192, 16_384, 32_768, 65_536].includes(nodeBytes)) {
    fail('its superblock makes no sense')
  }
}

/** One; none for what lies on other devices or is spread over them. */
function chunkOf(start: bigint, item: Buffer): readonly Chunk[] {
  if (item.length < 80) fail('a chunk of it is damaged')
  if ((item.readBigUInt64LE(24) & OTHER_PROFILES) !== 0n) return []
  const [length, physical] = [item.readBigUInt64LE(0), item.readBigUInt64LE(56)]
  const values = [start, length, physical].map(Number)
  return values.every((it) => Number.isSafeInteger(it))
    ? [{ start: Number(start), length: Number(length), physical: Number(physical) }] : []
}

function keyAt(bytes: Buffer, at: number): BtrfsKey {
  return btrfsKey(
    bytes.readBigUInt64LE(at), bytes.readUInt8(at + 8), bytes.readBigUInt64LE(at + 9))
}

/** A number that may be read as an address: 2^53 bytes are more than any disk has. */
function address(bytes: Buffer, at: number): number {
  const found = Number(bytes.readBigUInt64LE(at))
  return Number.isSafeInteger(found) ? found : fail('it points outside of itself')
}

function crc32c(bytes: Uint8Array): number {
  return ~rawCrc32c(bytes) >>> 0
}
