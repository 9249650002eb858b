/** A disk made of pieces of a file, of zeros, and of what a parent holds. */

import { throwIfAborted } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import { checkInside, type BlockSource } from '../block-source.ts'
import { mergeExtents } from '../extent-stream.ts'
import { endOf, type Extent, type Range } from '../extents.ts'

export interface Piece {
  readonly length: number
  /** A number: it lies in the file, from there on. */
  readonly from: number | 'zero' | 'parent'
}

/** Where a disk's bytes are. */
export interface DiskMap {
  readonly name: string
  readonly sizeBytes: number
  /**
   * What is at `offset` and behind it, piece by piece: at least one byte, at most `length`. Fault:
   * `disk-unreadable`.
   */
  piecesAt(offset: number, length: number, signal: AbortSignal): Promise<readonly Piece[]>
}

interface PlacedPiece extends Piece {
  /** In the disk. */
  readonly offset: number
}

/** Takes over `file` and `parent`; where the parent ends before the disk, zeros follow. */
export class LayeredDisk implements BlockSource {
  readonly name: string
  readonly sizeBytes: number
  readonly #map: DiskMap
  readonly #file: BlockSource
  readonly #parent: BlockSource | undefined
  #isClosed = false

  constructor(map: DiskMap, file: BlockSource, parent: BlockSource | undefined) {
    this.name = map.name
    this.sizeBytes = map.sizeBytes
    this.#map = map
    this.#file = file
    this.#parent = parent
  }

  async read(
    offset: number, length: number, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    checkInside(this, offset, length)
    throwIfAborted(signal)
    if (this.#isClosed) throw new Fault('disk-lost', `${this.name} was closed`)
    const bytes = new Uint8Array(length)
    const runs = { parent: new Run(this.#parent), file: new Run(this.#file) }
    for await (const pieces of this.#placed({ offset, length }, signal)) {
      for (const piece of pieces) {
        const { from } = piece
        if (from === 'zero') continue
        const run = from === 'parent' ? runs.parent : runs.file
        const part = { to: piece.offset - offset, length: piece.length,
          from: from === 'parent' ? piece.offset : from }
        if (run.takes(part)) continue
        await run.readInto(bytes, signal)
        run.takes(part)
      }
    }
    await runs.parent.readInto(bytes, signal)
    await runs.file.readInto(bytes, signal)
    throwIfAborted(signal)
    return bytes
  }

  async * extents(range: Range, signal: AbortSignal): AsyncGenerator<Extent> {
    checkInside(this, range.offset, range.length)
    yield* mergeExtents(this.#kinds(range, signal), range)
  }

  async * #kinds(range: Range, signal: AbortSignal): AsyncGenerator<Extent> {
    for await (const { offset, length, from } of flattened(this.#placed(range, signal))) {
      const parent = from === 'parent' ? this.#parent : undefined
      if (parent?.extents !== undefined) yield* parent.extents({ offset, length }, signal)
      else yield { offset, length, kind: from === 'zero' ? 'zero' : 'data' }
    }
  }

  /** What the parent would have to give lies wholly inside of it. */
  async * #placed(range: Range, signal: AbortSignal): AsyncGenerator<readonly PlacedPiece[]> {
    const parentEnd = this.#parent?.sizeBytes ?? 0
    for (let at = range.offset; at < endOf(range);) {
      throwIfAborted(signal)
      if (this.#isClosed) throw new Fault('disk-lost', `${this.name} was closed`)
      const placed: PlacedPiece[] = []
      for (const { length, from } of await this.#map.piecesAt(at, endOf(range) - at, signal)) {
        const here = from === 'parent' ? Math.max(0, Math.min(length, parentEnd - at)) : length
        if (here > 0) placed.push({ offset: at, length: here, from })
        if (here < length) placed.push({ offset: at + here, length: length - here, from: 'zero' })
        at += length
      }
      yield placed
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    await this.#file[Symbol.asyncDispose]()
    await this.#parent?.[Symbol.asyncDispose]()
  }
}

/** What is between two pieces is read too if it is no more than this. */
const GAP_BYTES = 64 * 1024
/** … and all that is read at once no more than this, unless it is one piece. */
const RUN_BYTES = 4 * 2 ** 20

interface Part {
  /** In the source, and in the result. */
  readonly from: number
  readonly to: number
  readonly length: number
}

/** Pieces of one source that are read at once: sectors may come by turns from two files. */
class Run {
  readonly #source: BlockSource | undefined
  #parts: Part[] = []

  constructor(source: BlockSource | undefined) {
    this.#source = source
  }

  /** Whether the part goes with those that are waiting. */
  takes(part: Part): boolean {
    const [first = part, last] = [this.#parts[0], this.#parts.at(-1)]
    const gap = last === undefined ? 0 : part.from - last.from - last.length
    const isTooLong = last !== undefined && part.from + part.length - first.from > RUN_BYTES
    if (gap < 0 || gap > GAP_BYTES || isTooLong) return false
    this.#parts.push(part)
    return true
  }

  async readInto(bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    const [first, last] = [this.#parts[0], this.#parts.at(-1)]
    if (first === undefined || last === undefined) return
    const start = first.from
    const read = await this.#source?.read(start, last.from + last.length - start, signal)
    for (const { from, to, length } of this.#parts) {
      if (read !== undefined) bytes.set(read.subarray(from - start, from - start + length), to)
    }
    this.#parts = []
  }
}

const PIECE_BYTES = 64 * 1024
const MOST_PIECES = 64

/** Tables of a file, of which only what is looked at is held: 4 MiB at most. */
export class FileTables {
  readonly #file: BlockSource
  readonly #pieces = new Map<number, Buffer>()

  constructor(file: BlockSource) {
    this.#file = file
  }

  /** The bytes at `offset`, up to where the piece they are in ends. Faults of reading. */
  async at(offset: number, signal: AbortSignal): Promise<Buffer> {
    const within = offset % PIECE_BYTES
    const start = offset - within
    const known = this.#pieces.get(start)
    if (known !== undefined) return known.subarray(within)
    const length = Math.min(PIECE_BYTES, this.#file.sizeBytes - start)
    const read = await this.#file.read(start, length, signal)
    const piece = Buffer.from(read.buffer, read.byteOffset, read.byteLength)
    const [oldest] = this.#pieces.keys()
    if (this.#pieces.size >= MOST_PIECES && oldest !== undefined) this.#pieces.delete(oldest)
    this.#pieces.set(start, piece)
    return piece.subarray(within)
  }
}

async function* flattened<T>(lists: AsyncIterable<readonly T[]>): AsyncGenerator<T> {
  for await (const list of lists) yield* list
}

/** Pieces of sectors that are here or in the parent, from `offset` on: `isHere` of each. */
export function sectorPieces(
  isHere: (sector: number) => boolean, { sectorBytes, offset, length, from }: Readonly<
    Record<'sectorBytes' | 'offset' | 'length' | 'from', number>>): readonly Piece[] {
  const pieces: Piece[] = []
  const end = offset + length
  for (let at = offset; at < end;) {
    let sector = Math.floor(at / sectorBytes)
    const here = isHere(sector)
    do sector++; while (sector * sectorBytes < end && isHere(sector) === here)
    const next = Math.min(end, sector * sectorBytes)
    pieces.push({ length: next - at, from: here ? from + at - offset : 'parent' })
    at = next
  }
  return pieces
}
