/** VHDX and AVHDX for reading (MS-VHDX 2.5): fixed, dynamic, and differences to a parent. */

import type { BlockSource } from '../block-source.ts'
import { FileTables, sectorPieces, type DiskMap, type Piece } from './layered-disk.ts'
import { openChain, type Accepts, type FindFile, type Layer } from './parent-chain.ts'
import { failVhdx, MIB, readHeader, readRegions, type Region } from './vhdx-file.ts'
import { replayLog } from './vhdx-log.ts'
import { readMetadata, type VhdxMetadata } from './vhdx-metadata.ts'

const CHUNK_SECTORS = 2 ** 23
/** States of a block of contents, and of a block of the sectors' bitmap. */
const NOT_PRESENT = 0
const [UNDEFINED, ZERO, UNMAPPED] = [1, 2, 3]
const FULLY_PRESENT = 6
const PARTIALLY_PRESENT = 7
const BITMAP_PRESENT = 6

/**
 * As `openChain`. A log that is pending is replayed in memory, of the parents too. Faults:
 * `disk-unreadable` (damaged, or of a form that is not read), `chain-broken`, those of reading.
 */
export function openVhdx(
  file: BlockSource, find: FindFile, signal: AbortSignal): Promise<BlockSource> {
  return openChain(file, find, readLayer, signal)
}

async function readLayer(
  file: BlockSource, accepts: Accepts, signal: AbortSignal): Promise<Layer | undefined> {
  const header = await readHeader(file, signal)
  if (!accepts(header.dataWriteGuid)) return undefined
  const contents = await replayLog(file, header, signal)
  const { bat, metadata: place } = await readRegions(contents, signal)
  const metadata = await readMetadata(contents, place, signal)
  checkTable(contents, bat, metadata)
  return { map: new VhdxMap(contents, bat, metadata), contents, parent: metadata.parent }
}

function chunkBlocks({ blockBytes, sectorBytes }: VhdxMetadata): number {
  return CHUNK_SECTORS * sectorBytes / blockBytes
}

/** The table must have an entry for each block, and for the bitmap after each chunk of them. */
function checkTable(file: BlockSource, bat: Region, metadata: VhdxMetadata): void {
  const perChunk = chunkBlocks(metadata)
  const blocks = Math.ceil(metadata.sizeBytes / metadata.blockBytes)
  const entries = metadata.parent === undefined
    ? blocks + Math.floor((blocks - 1) / perChunk) : Math.ceil(blocks / perChunk) * (perChunk + 1)
  if (entries * 8 > bat.length) failVhdx(file.name, 'its table of blocks is cut')
}

class VhdxMap implements DiskMap {
  readonly name: string
  readonly sizeBytes: number
  readonly #file: BlockSource
  readonly #tables: FileTables
  readonly #bat: Region
  readonly #metadata: VhdxMetadata
  readonly #perChunk: number

  constructor(file: BlockSource, bat: Region, metadata: VhdxMetadata) {
    this.name = `VHDX of ${file.name}`
    this.sizeBytes = metadata.sizeBytes
    this.#file = file
    this.#tables = new FileTables(file)
    this.#bat = bat
    this.#metadata = metadata
    this.#perChunk = chunkBlocks(metadata)
  }

  async piecesAt(offset: number, length: number, signal: AbortSignal): Promise<readonly Piece[]> {
    const { blockBytes, parent } = this.#metadata
    const block = Math.floor(offset / blockBytes)
    const within = offset % blockBytes
    const most = Math.min(length, blockBytes - within)
    const chunk = Math.floor(block / this.#perChunk)
    const { state, at } = await this.#entry(block + chunk, signal)
    switch (state) {
      case NOT_PRESENT: return [{ length: most, from: parent === undefined ? 'zero' : 'parent' }]
      case UNDEFINED: case ZERO: case UNMAPPED: return [{ length: most, from: 'zero' }]
      case FULLY_PRESENT: return [{ length: most, from: this.#inFile(at) + within }]
      case PARTIALLY_PRESENT: {
        if (parent === undefined) failVhdx(this.#file.name, 'a block of it is in no parent')
        return this.#mixed(chunk, { offset, length: most, from: this.#inFile(at) + within }, signal)
      }
      default: return failVhdx(this.#file.name, `a block of it is in an unknown state (${state})`)
    }
  }

  /** Sectors that are here or in the parent, as the map of the chunk says. */
  async #mixed(
    chunk: number, place: Readonly<Record<'offset' | 'length' | 'from', number>>,
    signal: AbortSignal): Promise<readonly Piece[]> {
    const { sectorBytes } = this.#metadata
    const { state, at } = await this.#entry((chunk + 1) * (this.#perChunk + 1) - 1, signal)
    if (state !== BITMAP_PRESENT) failVhdx(this.#file.name, 'a map of its sectors is missing')
    const isInside = at >= MIB && at + MIB <= this.#file.sizeBytes
    if (!isInside) failVhdx(this.#file.name, 'a map of its sectors lies outside of it')
    const first = Math.floor(place.offset / sectorBytes / 8) * 8
    const bits = await this.#tables.at(at + (first - chunk * CHUNK_SECTORS) / 8, signal)
    const length = Math.min(place.length, (first + bits.length * 8) * sectorBytes - place.offset)
    // The lowest bit of a byte is the first sector's.
    return sectorPieces(
      (sector) => ((bits[(sector - first) >> 3] ?? 0) >> ((sector - first) & 7) & 1) === 1,
      { ...place, length, sectorBytes })
  }

  async #entry(
    index: number, signal: AbortSignal): Promise<{ readonly state: number; readonly at: number }> {
    const bytes = await this.#tables.at(this.#bat.offset + index * 8, signal)
    const [low, high] = [bytes.readUInt32LE(0), bytes.readUInt32LE(4)]
    return { state: low & 7, at: (high * 2 ** 12 + (low >>> 20)) * MIB }
  }

  #inFile(at: number): number {
    const isInside = at >= MIB && at + this.#metadata.blockBytes <= this.#file.sizeBytes
    return isInside ? at : failVhdx(this.#file.name, 'a block of it lies outside of it')
  }
}
