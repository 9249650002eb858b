/** Content addresses: SHA-256 in lowercase hexadecimal (restic design, "Terminology"). */

import { hash } from 'node:crypto'
import { Fault } from '../../base/fault.ts'

/** SHA-256 of a blob's plaintext, uncompressed: 64 lowercase hexadecimal digits. */
export type BlobId = string & { readonly idOf: 'blob' }

/** SHA-256 of a stored file, sealed as it lies in the store; also its name there. */
export type FileId = string & { readonly idOf: 'file' }

/** Bytes of an id in binary form. */
export const ID_BYTES = 32

const HEX_ID = /^[0-9a-f]{64}$/

export function blobIdOf(plaintext: Uint8Array): BlobId {
  return hash('sha256', plaintext, 'hex') as BlobId
}

export function fileIdOf(file: Uint8Array): FileId {
  return hash('sha256', file, 'hex') as FileId
}

/** The id that `value` spells, or a `repository-damaged` Fault naming `what`. */
export function parseBlobId(value: unknown, what: string): BlobId {
  return parseId(value, what) as BlobId
}

/** As `parseBlobId`, for the name of a file. */
export function parseFileId(value: unknown, what: string): FileId {
  return parseId(value, what) as FileId
}

function parseId(value: unknown, what: string): string {
  if (typeof value === 'string' && HEX_ID.test(value)) return value
  throw new Fault('repository-damaged', `${what} holds an id that is not 64 hexadecimal digits`)
}

/** The id whose binary form stands at `offset` of `bytes`. */
export function blobIdFromBytes(bytes: Uint8Array, offset = 0): BlobId {
  return hexOf(bytes, offset) as BlobId
}

export function fileIdFromBytes(bytes: Uint8Array, offset = 0): FileId {
  return hexOf(bytes, offset) as FileId
}

function hexOf(bytes: Uint8Array, offset: number): string {
  if (offset + ID_BYTES > bytes.length) throw new RangeError('an id needs 32 bytes')
  return Buffer.from(bytes.buffer, bytes.byteOffset + offset, ID_BYTES).toString('hex')
}

/** The binary form, in a buffer of its own. */
export function idBytes(id: BlobId | FileId): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(ID_BYTES)
  writeId(bytes, 0, id)
  return bytes
}

/** Writes the binary form at `offset`. */
export function writeId(target: Uint8Array, offset: number, id: BlobId | FileId): void {
  Buffer.from(target.buffer, target.byteOffset + offset, ID_BYTES).write(id, 'hex')
}
