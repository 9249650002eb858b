/**
 * Sealed JSON files: index, snapshots and locks (restic design, "Unpacked Data Format"). In
 * version 2 the plaintext is 0x02 and zstd, or raw JSON as version 1 had it.
 */

import { Fault, isFault } from '../../base/fault.ts'
import type { RandomBytes } from '../../base/random.ts'
import type { Storage } from '../../storage/mod.ts'
import { SEAL_OVERHEAD_BYTES, type MasterKey } from './crypto.ts'
import { fileIdOf, type FileId } from './id.ts'
import { zstdCompress, zstdDecompress } from './zstd.ts'

export type UnpackedKind = 'index' | 'snapshots' | 'locks'

/** The longest JSON of each kind; restic's own are far shorter (an index file about 8 MiB). */
const MAX_JSON_BYTES = {
  index: 192 * 1024 * 1024,
  snapshots: 16 * 1024 * 1024,
  locks: 64 * 1024,
} as const satisfies Record<UnpackedKind, number>

const ZSTD_MARK = 0x02

/** The whole file and its name. */
export function sealUnpacked(
  key: MasterKey, json: Uint8Array, random: RandomBytes,
): { readonly id: FileId; readonly file: Uint8Array } {
  const compressed = zstdCompress(json)
  const plaintext = new Uint8Array(compressed.length + 1)
  plaintext[0] = ZSTD_MARK
  plaintext.set(compressed, 1)
  const file = key.seal(plaintext, random)
  return { id: fileIdOf(file), file }
}

/** The JSON in a whole file. Fault: `repository-damaged`, naming the file. */
export function openUnpacked(
  key: MasterKey, kind: UnpackedKind, id: FileId, file: Uint8Array): Uint8Array {
  const what = `${kind}/${id}`
  if (fileIdOf(file) !== id) {
    throw new Fault('repository-damaged', `${what} has other content than its name says`)
  }
  const plaintext = key.open(file, what)
  const first = plaintext[0]
  if (first === 0x7b || first === 0x5b) return plaintext
  if (first === ZSTD_MARK) return zstdDecompress(plaintext.subarray(1), MAX_JSON_BYTES[kind], what)
  throw new Fault('repository-damaged', `${what} is in an unknown encoding`)
}

/** Stores JSON, sealed and compressed. Faults: those of `Storage.put`. */
export async function writeUnpacked(
  storage: Storage, key: MasterKey, kind: UnpackedKind, json: Uint8Array, random: RandomBytes,
  signal: AbortSignal,
): Promise<FileId> {
  const { id, file } = sealUnpacked(key, json, random)
  await storage.put({ kind, name: id }, [file], signal)
  return id
}

/** The JSON in a stored file, verified. Faults: `not-found`, `repository-damaged`. */
export async function readUnpacked(
  storage: Storage, key: MasterKey, kind: UnpackedKind, id: FileId, signal: AbortSignal,
): Promise<Uint8Array> {
  const maxBytes = MAX_JSON_BYTES[kind] + SEAL_OVERHEAD_BYTES + 1
  const file = await storage.get({ kind, name: id }, { maxBytes }, signal)
  return openUnpacked(key, kind, id, file)
}

/** As `readUnpacked`, but undefined where the file is gone: another process may remove it. */
export async function readUnpackedIfThere(
  storage: Storage, key: MasterKey, kind: UnpackedKind, id: FileId, signal: AbortSignal,
): Promise<Uint8Array | undefined> {
  try {
    return await readUnpacked(storage, key, kind, id, signal)
  } catch (error) {
    if (isFault(error, 'not-found')) return undefined
    throw error
  }
}
