/** Reads a small ZIP archive from outside (PKWARE APPNOTE 6.3), bounded in number and size. */

import { crc32, inflateRawSync } from 'node:zlib'
import { Fault } from '../../base/fault.ts'

export interface ZipEntry {
  /** As the archive has it: foreign text, never a path of ours. */
  readonly name: string
  readonly bytes: Uint8Array
}

const MAX_ENTRIES = 256
const MAX_ENTRY_BYTES = 8 * 1024 * 1024
const MAX_TOTAL_BYTES = 32 * 1024 * 1024

const END = 0x06054b50
const CENTRAL = 0x02014b50
const LOCAL = 0x04034b50
const END_BYTES = 22
/** A comment of an archive may be so long, and stands behind the end record. */
const MAX_COMMENT = 0xffff

/** All files of the archive, checksums checked. Fault: `platform-protocol`, naming `what`. */
export function readZip(bytes: Uint8Array, what: string): readonly ZipEntry[] {
  try {
    return entriesOf(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength))
  } catch (cause) {
    throw new Fault('platform-protocol', `${what} is no ZIP archive that can be read`, { cause })
  }
}

function entriesOf(archive: Buffer): readonly ZipEntry[] {
  const end = findEnd(archive)
  const count = archive.readUInt16LE(end + 10)
  if (count > MAX_ENTRIES) throw new Error(`it has ${count} files, over ${MAX_ENTRIES}`)
  const entries: ZipEntry[] = []
  let total = 0
  let at = archive.readUInt32LE(end + 16)
  for (let n = 0; n < count; n++) {
    if (archive.readUInt32LE(at) !== CENTRAL) throw new Error('its directory is damaged')
    const [nameBytes, extraBytes, commentBytes] =
      [archive.readUInt16LE(at + 28), archive.readUInt16LE(at + 30), archive.readUInt16LE(at + 32)]
    const name = archive.toString('utf8', at + 46, at + 46 + nameBytes)
    const sizeBytes = archive.readUInt32LE(at + 24)
    total += sizeBytes
    if (sizeBytes > MAX_ENTRY_BYTES || total > MAX_TOTAL_BYTES) throw new Error('it is too large')
    if (!name.endsWith('/')) entries.push({ name, bytes: contentOf(archive, at, sizeBytes) })
    at += 46 + nameBytes + extraBytes + commentBytes
  }
  return entries
}

function findEnd(archive: Buffer): number {
  const lowest = Math.max(0, archive.length - END_BYTES - MAX_COMMENT)
  for (let at = archive.length - END_BYTES; at >= lowest; at--) {
    if (archive.readUInt32LE(at) === END) return at
  }
  throw new Error('it has no end record')
}

function contentOf(archive: Buffer, central: number, sizeBytes: number): Uint8Array {
  const flags = archive.readUInt16LE(central + 8)
  const method = archive.readUInt16LE(central + 10)
  const packedBytes = archive.readUInt32LE(central + 20)
  const local = archive.readUInt32LE(central + 42)
  if ((flags & 1) !== 0) throw new Error('it is encrypted')
  if (archive.readUInt32LE(local) !== LOCAL) throw new Error('a file in it is damaged')
  const start = local + 30 + archive.readUInt16LE(local + 26) + archive.readUInt16LE(local + 28)
  if (start + packedBytes > archive.length) throw new Error('it ends early')
  const packed = archive.subarray(start, start + packedBytes)
  const bytes = method === 0 ? Uint8Array.from(packed)
    : method === 8 ? inflateRawSync(packed, { maxOutputLength: Math.max(1, sizeBytes) })
      : undefined
  if (bytes === undefined) throw new Error(`its method ${method} is not known`)
  const isWhole = bytes.length === sizeBytes && crc32(bytes) === archive.readUInt32LE(central + 16)
  if (!isWhole) throw new Error('a file in it does not have its checksum')
  return bytes
}
