/** Stores a disk: reads what must be read, and builds the tree that disk-layout.ts describes. */

import { mapBounded } from '../../base/bounded.ts'
import { abortable } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import {
  alignRangesOutward, between, dataRanges, endOf, mergeExtents, type BlockSource, type Range,
} from '../../disk/mod.ts'
import {
  chunksIn, DiskTree, groupName, layoutOf, SEGMENT_FILE, SEGMENTS_PER_GROUP, segmentLength,
  segmentName, type DiskLayout,
} from './disk-layout.ts'
import type { BlobId } from '../format/id.ts'
import { dirNode, fileNode, type DirNode } from '../format/node.ts'
import type { Repository } from '../repository.ts'
import { RunMemory } from './run-memory.ts'
import type { WriteSession } from '../write/write-session.ts'

export interface StoreDiskOptions {
  /** Length of a chunk; see `DEFAULT_CHUNK_BYTES`. At most 8 MiB. */
  readonly chunkBytes: number
  /** For tests; the default is the layout's. */
  readonly segmentBytes?: number
  /** The same disk at an earlier instant, of the same size and lengths: its chunks are used again
   * wherever nothing changed. */
  readonly base?: BaseDisk
}

export interface BaseDisk {
  readonly repository: Repository
  /** The tree of the disk in the earlier restore point; the caller knows that it is whole. */
  readonly treeId: BlobId
  /** What may differ from then, ordered, without overlap. All else is not looked at. */
  readonly changed: AsyncIterable<Range> | Iterable<Range>
}

export interface StoredDisk {
  /** The folder of the disk, for `dirNode(disk, treeId)`. */
  readonly treeId: BlobId
  readonly sizeBytes: number
  /** Bytes read from the source. */
  readonly bytesRead: number
  /** Bytes the source said were zeros, so that they were not read. */
  readonly zeroBytes: number
  /** Bytes taken over from the base. */
  readonly reusedBytes: number
}

export interface DiskProgress {
  readonly sizeBytes: number
  /** Bytes of the disk that are dealt with, from its start; the last call has all. */
  readonly doneBytes: number
  readonly bytesRead: number
}

/** A run for a worker: large enough that messages cost nothing, small enough to hold many. */
const RUN_BYTES = 4 * 1024 * 1024
/** Runs being read or worked on for each thread; with two one would wait now and then. */
const RUNS_PER_WORKER = 3
/** Pieces under way at most, most of which need no reading. */
const PIECES_IN_FLIGHT = 64

/** A part of one segment, whole chunks but for the disk's end. */
interface Piece extends Range {
  readonly kind: 'read' | 'zero' | 'base'
}

/** The ids of a piece's chunks, or the tree of a whole segment. */
type StoredPiece = { readonly piece: Piece } & (
  | { readonly ids: readonly BlobId[] }
  | { readonly segmentTreeId: BlobId })

/**
 * Stores all of `source` and returns the tree of its folder. Equal disks give equal trees. The
 * source is not disposed. A fault or abort leaves blobs nobody refers to; the session may go on.
 * Faults: the source's, the session's, `unsupported` (the disk is beyond the layout),
 * `point-invalid` and `repository-damaged` (the base is).
 */
export async function storeDisk(
  session: WriteSession,
  source: BlockSource,
  options: StoreDiskOptions,
  onProgress: (progress: DiskProgress) => void,
  signal: AbortSignal,
): Promise<StoredDisk> {
  const layout = layoutOf({ ...options, sizeBytes: source.sizeBytes })
  const store = new DiskStore(session, source, layout, options.base)
  return store.run(onProgress, AbortSignal.any([signal, session.signal]))
}

class DiskStore {
  readonly #session: WriteSession
  readonly #source: BlockSource
  readonly #layout: DiskLayout
  readonly #base: BaseDisk | undefined
  readonly #baseTree: DiskTree | undefined
  readonly #memory = new RunMemory()
  /** By length: that of all chunks, and perhaps that of the disk's last one. */
  readonly #zeroChunkIds = new Map<number, BlobId>()
  /** The tree of a full segment of zeros, once there was one. */
  #zeroSegmentTreeId: BlobId | undefined

  constructor(
    session: WriteSession, source: BlockSource, layout: DiskLayout, base: BaseDisk | undefined) {
    this.#session = session
    this.#source = source
    this.#layout = layout
    this.#base = base
    this.#baseTree = base && new DiskTree(base.repository, base.treeId, layout)
  }

  async run(
    onProgress: (progress: DiskProgress) => void, signal: AbortSignal): Promise<StoredDisk> {
    const { sizeBytes } = this.#layout
    const done = { read: 0, zero: 0, base: 0 }
    const bounds = {
      inFlight: PIECES_IN_FLIGHT,
      inFlightBytes: RUN_BYTES * RUNS_PER_WORKER * Math.max(1, this.#session.workers),
      sizeOf: (piece: Piece) => (piece.kind === 'read' ? piece.length : 0),
    }
    const folder = new FolderBuilder(this.#session, this.#layout)
    const pieces = mapBounded(this.#pieces(signal), bounds, (piece) => this.#store(piece, signal))
    for await (const stored of pieces) {
      await folder.add(stored)
      done[stored.piece.kind] += stored.piece.length
      onProgress({ sizeBytes, doneBytes: endOf(stored.piece), bytesRead: done.read })
    }
    return {
      treeId: await folder.finish(), sizeBytes,
      bytesRead: done.read, zeroBytes: done.zero, reusedBytes: done.base,
    }
  }

  /** All of the disk, in order, cut at segments and runs. */
  async *#pieces(signal: AbortSignal): AsyncGenerator<Piece, void, undefined> {
    const { chunkBytes, segmentBytes } = this.#layout
    const runBytes = Math.max(1, Math.floor(RUN_BYTES / chunkBytes)) * chunkBytes
    for await (const { kind, offset, length } of this.#wholePieces(signal)) {
      const limit = kind === 'read' ? Math.min(runBytes, segmentBytes) : segmentBytes
      for (let at = offset; at < offset + length;) {
        // Cut at multiples, so that runs do not straddle segments.
        const end = Math.min(
          offset + length, at + limit, (Math.floor(at / segmentBytes) + 1) * segmentBytes)
        yield { kind, ...between(at, end) }
        at = end
      }
    }
  }

  async *#wholePieces(signal: AbortSignal): AsyncGenerator<Piece, void, undefined> {
    const { chunkBytes, sizeBytes } = this.#layout
    const whole = between(0, sizeBytes)
    const visited = this.#base === undefined
      ? [whole]
      : alignRangesOutward(this.#base.changed, chunkBytes, sizeBytes)
    let at = 0
    for await (const range of visited) {
      if (range.offset > at) yield { kind: 'base', ...between(at, range.offset) }
      yield* this.#visit(range, signal)
      at = endOf(range)
    }
    if (at < sizeBytes) yield { kind: 'base', ...between(at, sizeBytes) }
  }

  /** What of `range` must be read and what is known to be zero. */
  async *#visit(range: Range, signal: AbortSignal): AsyncGenerator<Piece, void, undefined> {
    if (range.length === 0) return
    if (this.#source.extents === undefined) {
      yield { kind: 'read', ...range }
      return
    }
    const { chunkBytes, sizeBytes } = this.#layout
    const data = dataRanges(mergeExtents(this.#source.extents(range, signal), range))
    let at = range.offset
    for await (const read of alignRangesOutward(data, chunkBytes, sizeBytes)) {
      if (read.offset > at) yield { kind: 'zero', ...between(at, read.offset) }
      yield { kind: 'read', ...read }
      at = endOf(read)
    }
    if (at < endOf(range)) yield { kind: 'zero', ...between(at, endOf(range)) }
  }

  async #store(piece: Piece, signal: AbortSignal): Promise<StoredPiece> {
    switch (piece.kind) {
      case 'read': {
        const bytes = await this.#memory.read(this.#source, piece, signal)
        if (bytes.length !== piece.length) {
          throw new Fault('disk-unreadable',
            `${this.#source.name} gave ${bytes.length} bytes instead of ${piece.length}`)
        }
        // A store that does not answer holds runs back: an abort need not wait for it.
        const storing = this.#session.addRun(bytes, this.#layout.chunkBytes)
        const { ids, memory: used } = await abortable(storing, signal)
        this.#memory.giveBack(used)
        return { piece, ids }
      }
      case 'zero':
        return this.#storeZeros(piece)
      case 'base':
        return this.#takeOver(piece, signal)
      default:
        return piece.kind satisfies never
    }
  }

  async #storeZeros(piece: Piece): Promise<StoredPiece> {
    const { chunkBytes, segmentBytes } = this.#layout
    const isSegment = piece.length === segmentBytes
    if (isSegment && this.#zeroSegmentTreeId !== undefined) {
      return { piece, segmentTreeId: this.#zeroSegmentTreeId }
    }
    const rest = piece.length % chunkBytes
    const ids = Array<BlobId>(Math.floor(piece.length / chunkBytes))
    if (ids.length > 0) ids.fill(await this.#zeroChunk(chunkBytes))
    if (rest > 0) ids.push(await this.#zeroChunk(rest))
    if (!isSegment) return { piece, ids }
    this.#zeroSegmentTreeId = await saveSegment(this.#session, piece.length, ids)
    return { piece, segmentTreeId: this.#zeroSegmentTreeId }
  }

  async #zeroChunk(length: number): Promise<BlobId> {
    const known = this.#zeroChunkIds.get(length)
    if (known !== undefined) return known
    const id = await this.#session.saveData(new Uint8Array(length))
    this.#zeroChunkIds.set(length, id)
    return id
  }

  async #takeOver(piece: Piece, signal: AbortSignal): Promise<StoredPiece> {
    const base = this.#baseTree
    if (base === undefined) throw new TypeError('a piece of a base that is not there')
    const { segmentBytes, chunkBytes } = this.#layout
    const segment = Math.floor(piece.offset / segmentBytes)
    if (piece.length === segmentLength(this.#layout, segment)) {
      return { piece, segmentTreeId: await base.segmentTreeId(segment, signal) }
    }
    const ids = await base.chunkIds(segment, signal)
    const first = (piece.offset % segmentBytes) / chunkBytes
    return { piece, ids: ids.slice(first, first + chunksIn(this.#layout, piece.length)) }
  }
}

/** Takes pieces in order and makes segments, groups and at last the disk's folder of them. */
class FolderBuilder {
  readonly #session: WriteSession
  readonly #layout: DiskLayout
  #ids: BlobId[] = []
  #segments: DirNode[] = []
  #groups: DirNode[] = []

  constructor(session: WriteSession, layout: DiskLayout) {
    this.#session = session
    this.#layout = layout
  }

  async add(stored: StoredPiece): Promise<void> {
    if ('segmentTreeId' in stored) return this.#addSegment(stored.segmentTreeId)
    this.#ids.push(...stored.ids)
    const { segmentBytes } = this.#layout
    const segment = Math.floor(stored.piece.offset / segmentBytes)
    const length = segmentLength(this.#layout, segment)
    if (endOf(stored.piece) < segment * segmentBytes + length) return undefined
    const treeId = await saveSegment(this.#session, length, this.#ids)
    this.#ids = []
    return this.#addSegment(treeId)
  }

  async finish(): Promise<BlobId> {
    await this.#closeGroup()
    return this.#session.saveTree({ nodes: this.#groups })
  }

  async #addSegment(treeId: BlobId): Promise<void> {
    this.#segments.push(dirNode(segmentName(this.#segments.length), treeId))
    if (this.#segments.length === SEGMENTS_PER_GROUP) await this.#closeGroup()
  }

  async #closeGroup(): Promise<void> {
    if (this.#segments.length === 0) return
    const treeId = await this.#session.saveTree({ nodes: this.#segments })
    this.#groups.push(dirNode(groupName(this.#groups.length), treeId))
    this.#segments = []
  }
}

async function saveSegment(
  session: WriteSession, length: number, ids: readonly BlobId[]): Promise<BlobId> {
  return session.saveTree({ nodes: [fileNode(SEGMENT_FILE, length, ids)] })
}
