/**
 * The journal of ext4, replayed in memory: which block of it stands for which block of the file
 * system (Linux, Documentation/filesystems/ext4: "Journal (jbd2)"). Held against `e2fsck -E
 * journal_only` by its test.
 */

import { rawCrc32c } from '../probe/crc32c.ts'
import type { ExtInode } from './ext-inode.ts'
import { fail } from './image-file.ts'
import type { Blocks } from './runs.ts'

/** Blocks of the file system that the journal has newer contents of. */
export interface Replayed {
  /** Undefined: what lies in its place is the newest. */
  read(block: number): Promise<Buffer | undefined>
  readonly blocks: ReadonlySet<number>
}

const MAGIC = 0xc03b3998
const [DESCRIPTOR, COMMIT, SUPERBLOCK_V2, REVOKE] = [1, 2, 4, 5]
const INCOMPAT_64BIT = 0x2
/** A commit may be on disk before what it commits, which only checksums of each block show. */
const INCOMPAT_ASYNC = 0x4
const INCOMPAT_CSUM_V2 = 0x8
const INCOMPAT_CSUM_V3 = 0x10
const READ_INCOMPAT = 0x1 | INCOMPAT_64BIT | INCOMPAT_ASYNC | INCOMPAT_CSUM_V2 | INCOMPAT_CSUM_V3
const TAG = { escaped: 1, sameUuid: 2, last: 8 } as const
/** The largest that the tools of ext4 make is a million blocks. */
const MAX_JOURNAL_BLOCKS = 4_194_304

interface Journal {
  readonly blockBytes: number
  readonly first: number
  readonly end: number
  readonly start: number
  readonly sequence: number
  readonly is64: boolean
  readonly checksums: 'none' | 'v2' | 'v3'
  readonly seed: number
}

/** Where the newest contents of a block are in the journal. */
interface Logged {
  readonly sequence: number
  readonly at: number
  readonly isEscaped: boolean
  readonly checksum: number
}

/** Fault: `disk-unreadable` if what it says was written is not there, or in an unread format. */
export async function readJournal(inode: ExtInode, blocks: Blocks): Promise<Replayed> {
  const journal = parseJournal(await inode.read(0, 1024), inode, blocks)
  const log = new LogReader(journal, inode, blocks)
  const logged = journal.start === 0 ? new Map<number, Logged>() : await log.replay()
  return {
    blocks: new Set(logged.keys()),
    read: async (block) => {
      const found = logged.get(block)
      return found === undefined ? undefined : log.contents(found)
    },
  }
}

function parseJournal(bytes: Buffer, inode: ExtInode, { blockBytes }: Blocks): Journal {
  if (bytes.length < 1024 || bytes.readUInt32BE(0) !== MAGIC ||
    bytes.readUInt32BE(4) !== SUPERBLOCK_V2) fail('its journal has no superblock')
  const incompat = bytes.readUInt32BE(40)
  const unread = (incompat & ~READ_INCOMPAT) >>> 0
  if (unread !== 0) fail(`its journal has features that are not read (0x${unread.toString(16)})`)
  const checksums = (incompat & INCOMPAT_CSUM_V3) !== 0 ? 'v3'
    : (incompat & INCOMPAT_CSUM_V2) !== 0 ? 'v2' : 'none'
  if (checksums === 'none' && (incompat & INCOMPAT_ASYNC) !== 0) {
    fail('its journal does not show which commits are whole')
  }
  const journal: Journal = {
    blockBytes, first: bytes.readUInt32BE(20), end: bytes.readUInt32BE(16),
    start: bytes.readUInt32BE(28), sequence: bytes.readUInt32BE(24),
    is64: (incompat & INCOMPAT_64BIT) !== 0, checksums,
    seed: rawCrc32c(bytes.subarray(48, 64)),
  }
  const guarded = Buffer.from(bytes)
  guarded.writeUInt32BE(0, 252)
  if (checksums !== 'none' && rawCrc32c(guarded) !== bytes.readUInt32BE(252)) {
    fail('the checksum of its journal\'s superblock is wrong')
  }
  const { first, end, start } = journal
  const isPlausible = bytes.readUInt32BE(12) === blockBytes && first >= 1 && first < end &&
    end <= MAX_JOURNAL_BLOCKS && end * blockBytes <= inode.sizeBytes &&
    (start === 0 || (start >= first && start < end))
  return isPlausible ? journal : fail('its journal\'s superblock makes no sense')
}

class LogReader {
  readonly #journal: Journal
  readonly #inode: ExtInode
  readonly #blocks: Blocks
  readonly #logged = new Map<number, Logged>()
  /** Blocks that were freed: what earlier transactions wrote into them counts no more. */
  readonly #revoked = new Map<number, number>()

  constructor(journal: Journal, inode: ExtInode, blocks: Blocks) {
    this.#journal = journal
    this.#inode = inode
    this.#blocks = blocks
  }

  /** All that transactions with a commit have written. What has none never happened. */
  async replay(): Promise<ReadonlyMap<number, Logged>> {
    const { start, sequence, end, first } = this.#journal
    let at = start
    let transaction = new Transaction(sequence)
    for (let walked = 0; walked < end - first;) {
      const block = await this.#block(at)
      const isNext = block.readUInt32BE(0) === MAGIC &&
        block.readUInt32BE(8) === transaction.sequence
      if (!isNext) break
      const length = this.#take(block, at, transaction)
      if (length === undefined) break // cut while it was written
      if (block.readUInt32BE(4) === COMMIT) {
        this.#commit(transaction)
        transaction = new Transaction((transaction.sequence + 1) >>> 0)
      }
      at = this.#after(at, length)
      walked += length
    }
    for (const [block, { sequence }] of this.#logged) {
      const revoked = this.#revoked.get(block)
      if (revoked !== undefined && !isLater(sequence, revoked)) this.#logged.delete(block)
    }
    return this.#logged
  }

  /** How many blocks the block at `at` speaks for, itself among them; undefined if it is torn. */
  #take(block: Buffer, at: number, transaction: Transaction): number | undefined {
    switch (block.readUInt32BE(4)) {
      case DESCRIPTOR: {
        if (!this.#hasGoodTail(block)) return undefined
        const tags = this.#tags(block)
        for (const [index, tag] of tags.entries()) {
          const { sequence } = transaction
          transaction.logged.set(
            tag.block, { ...tag, sequence, at: this.#after(at, index + 1) })
        }
        return tags.length + 1
      }
      case REVOKE: {
        if (!this.#hasGoodTail(block)) return undefined
        for (const revoked of this.#revokes(block)) transaction.revoked.add(revoked)
        return 1
      }
      case COMMIT: return this.#isGoodCommit(block) ? 1 : undefined
      default: return undefined
    }
  }

  #commit({ sequence, logged, revoked }: Transaction): void {
    for (const [block, it] of logged) this.#logged.set(block, it)
    for (const block of revoked) this.#revoked.set(block, sequence)
  }

  #tags(block: Buffer): readonly { block: number; isEscaped: boolean; checksum: number }[] {
    const { checksums, is64 } = this.#journal
    const size = checksums === 'v3' ? 16 : 8 + (checksums === 'v2' ? 2 : 0) + (is64 ? 4 : 0)
    const end = block.length - (checksums === 'none' ? 0 : 4)
    const tags = []
    for (let at = 12; at + size <= end;) {
      const flags = checksums === 'v3' ? block.readUInt32BE(at + 4) : block.readUInt16BE(at + 6)
      const high = is64 ? block.readUInt32BE(at + 8) : 0
      tags.push({
        block: block.readUInt32BE(at) + high * 2 ** 32,
        isEscaped: (flags & TAG.escaped) !== 0,
        checksum: checksums === 'v3' ? block.readUInt32BE(at + 12) : block.readUInt16BE(at + 4),
      })
      if ((flags & TAG.last) !== 0) return tags
      at += size + ((flags & TAG.sameUuid) === 0 ? 16 : 0)
    }
    return tags
  }

  #revokes(block: Buffer): readonly number[] {
    const { is64, checksums } = this.#journal
    const size = is64 ? 8 : 4
    const end = Math.min(
      block.readUInt32BE(12), block.length - (checksums === 'none' ? 0 : 4))
    const revoked: number[] = []
    for (let at = 16; at + size <= end; at += size) {
      revoked.push(is64
        ? block.readUInt32BE(at) * 2 ** 32 + block.readUInt32BE(at + 4) : block.readUInt32BE(at))
    }
    return revoked
  }

  #hasGoodTail(block: Buffer): boolean {
    if (this.#journal.checksums === 'none') return true
    const guarded = Buffer.from(block)
    guarded.writeUInt32BE(0, block.length - 4)
    return rawCrc32c(guarded, this.#journal.seed) === block.readUInt32BE(block.length - 4)
  }

  #isGoodCommit(block: Buffer): boolean {
    if (this.#journal.checksums === 'none') return true
    const guarded = Buffer.from(block)
    guarded.writeUInt32BE(0, 16)
    return rawCrc32c(guarded, this.#journal.seed) === block.readUInt32BE(16)
  }

  /** Fault: `disk-unreadable` if it is not what its transaction wrote. */
  async contents({ sequence, at, isEscaped, checksum }: Logged): Promise<Buffer> {
    const { checksums, seed } = this.#journal
    const block = await this.#block(at)
    if (checksums !== 'none') {
      const number = Buffer.alloc(4)
      number.writeUInt32BE(sequence)
      const seen = rawCrc32c(block, rawCrc32c(number, seed))
      const kept = checksums === 'v3' ? seen : seen & 0xffff
      if (kept !== checksum) fail('a block in its journal is damaged')
    }
    if (isEscaped) block.writeUInt32BE(MAGIC)
    return block
  }

  async #block(at: number): Promise<Buffer> {
    const physical = await this.#inode.physical(at)
    return physical === undefined
      ? fail('its journal has a hole') : Buffer.from(await this.#blocks.read(physical, 1))
  }

  #after(at: number, count: number): number {
    const { first, end } = this.#journal
    return first + (at - first + count) % (end - first)
  }
}

class Transaction {
  readonly sequence: number
  readonly logged = new Map<number, Logged>()
  readonly revoked = new Set<number>()

  constructor(sequence: number) {
    this.sequence = sequence
  }
}

/** Sequence numbers go round after 2^32. */
function isLater(a: number, b: number): boolean {
  return ((a - b) | 0) > 0
}
