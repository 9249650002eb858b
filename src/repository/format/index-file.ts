/** Index files: which pack holds which blob (restic design, "Indexing"). */

import { Fault, isFault } from '../../base/fault.ts'
import { MAX_BLOB_BYTES } from './blob.ts'
import { SEAL_OVERHEAD_BYTES } from './crypto.ts'
import { parseArray, parseGoJson, parseObject } from './go-json.ts'
import { parseBlobId, parseFileId, type FileId } from './id.ts'
import type { PackedBlob } from './pack.ts'

/** All blobs of a pack. A pack is never split between index files. */
export interface IndexedPack {
  readonly id: FileId
  /** Ascending by offset where we write them; in any order where they are read. */
  readonly blobs: readonly PackedBlob[]
}

/** A file is closed at this many blobs, as restic's are: about 6 MB of JSON. */
export const MAX_BLOBS_PER_INDEX_FILE = 50_000

const MAX_JSON_BYTES = 192 * 1024 * 1024
const MAX_U32 = 0xffff_ffff

/** The file's JSON, as restic writes it. */
export function encodeIndexFile(packs: readonly IndexedPack[]): Uint8Array<ArrayBuffer> {
  const literals = packs.map((pack) =>
    `{"id":"${pack.id}","blobs":[${pack.blobs.map(encodeBlob).join(',')}]}`)
  return new Uint8Array(Buffer.from(`{"packs":[${literals.join(',')}]}\n`, 'latin1'))
}

function encodeBlob({ id, kind, offset, length, uncompressedLength }: PackedBlob): string {
  const place = `{"id":"${id}","type":"${kind}","offset":${offset},"length":${length}`
  return uncompressedLength === 0
    ? `${place}}`
    : `${place},"uncompressed_length":${uncompressedLength}}`
}

/** Reads a file's JSON. Fault: `repository-damaged`, naming `what`. */
export function parseIndexFile(json: Uint8Array, what: string): readonly IndexedPack[] {
  const fields = parseObject(parseGoJson(json, what, MAX_JSON_BYTES), what)
  return parseArray(fields['packs'], `the list in ${what}`).map((item) => parsePack(item, what))
}

/**
 * As `parseIndexFile`, one after the other, so that what a file becomes when it is parsed, ten
 * times its size, is never in memory at once. Some may come before a fault, and some twice.
 */
export function* readIndexFile(
  json: Uint8Array, what: string): Generator<IndexedPack, void, undefined> {
  try {
    for (const piece of packPieces(json)) {
      yield parsePack(parseGoJson(piece, what, MAX_JSON_BYTES), what)
    }
  } catch (error) {
    if (!isFault(error, 'repository-damaged')) throw error
    // Written in another way than restic does; or damaged, which this finds out.
    yield* parseIndexFile(json, what)
  }
}

/** The literals of the packs in a file that is written as `encodeIndexFile` does. */
function* packPieces(json: Uint8Array): Generator<Uint8Array, void, undefined> {
  const bytes = Buffer.from(json.buffer, json.byteOffset, json.byteLength)
  const [head, between, tail] = ['{"packs":[', ']},{', ']}]}']
  const end = bytes.lastIndexOf(tail)
  const isUsual = bytes.indexOf(head) === 0 && end > 0 &&
    bytes.toString('latin1', end + tail.length).trim() === ''
  if (!isUsual) throw new Fault('repository-damaged', 'the file is not written as usual')
  for (let from = head.length; from < end;) {
    const next = bytes.indexOf(between, from)
    const to = next < 0 || next > end ? end + 2 : next + 2
    yield bytes.subarray(from, to)
    from = to + 1
  }
}

function parsePack(value: unknown, what: string): IndexedPack {
  const pack = parseObject(value, `a pack in ${what}`)
  const blobs = parseArray(pack['blobs'], `the blobs of a pack in ${what}`)
  return { id: parseFileId(pack['id'], what), blobs: blobs.map((blob) => parseBlob(blob, what)) }
}

function parseBlob(value: unknown, what: string): PackedBlob {
  const fields = parseObject(value, `a blob in ${what}`)
  const kind = fields['type']
  if (kind !== 'data' && kind !== 'tree') {
    throw new Fault('repository-damaged', `${what} lists a blob of unknown type`)
  }
  const id = parseBlobId(fields['id'], what)
  const offset = parseLength(fields['offset'], 0, what)
  const length = parseLength(fields['length'], SEAL_OVERHEAD_BYTES + 1, what)
  const uncompressedLength = parseLength(fields['uncompressed_length'] ?? 0, 0, what)
  const sealedLimit = MAX_BLOB_BYTES + (MAX_BLOB_BYTES >>> 8) + 1024
  if (offset + length > MAX_U32 || length > sealedLimit || uncompressedLength > MAX_BLOB_BYTES) {
    throw new Fault('repository-damaged', `${what} lists blob ${id} at an impossible place`)
  }
  return { kind, id, offset, length, uncompressedLength }
}

function parseLength(value: unknown, min: number, what: string): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= MAX_U32) {
    return value
  }
  throw new Fault('repository-damaged', `${what} lists a blob with an impossible length`)
}
