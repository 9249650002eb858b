/** NBD messages to bytes and back (doc/proto.md "Handshake" and "Transmission"). All big-endian. */

import { Fault } from '../../base/fault.ts'
import type { NbdLimits } from './limits.ts'
import { protocolFault } from './nbd-error.ts'
import {
  IHAVEOPT, NBD_DEFAULT_MAX_PAYLOAD, NBD_FLAG_HAS_FLAGS, NBD_INFO_BLOCK_SIZE, NBD_INFO_EXPORT,
  NBD_MAX_MINIMUM_BLOCK, NBD_MAX_STRING, NBD_REP_MAGIC, NBD_REQUEST_MAGIC,
  NBD_STRUCTURED_REPLY_MAGIC,
  NBD_SIMPLE_REPLY_MAGIC,
} from './protocol.ts'

export const OPTION_REPLY_BYTES = 20
export const SIMPLE_REPLY_BYTES = 16
/** A structured chunk's header is longer than a simple reply's by flags, type and length. */
const STRUCTURED_REPLY_BYTES = 20

/** One option of the handshake with its data. */
export function encodeOption(option: number, data: Uint8Array): Buffer {
  const header = Buffer.alloc(16)
  header.writeBigUInt64BE(IHAVEOPT, 0)
  header.writeUInt32BE(option, 8)
  header.writeUInt32BE(data.length, 12)
  return Buffer.concat([header, data])
}

/** The data of NBD_OPT_GO: the export and the information asked for. */
export function encodeGo(exportName: string, information: readonly number[]): Buffer {
  return Buffer.concat([
    encodeString(exportName), uint16(information.length), ...information.map(uint16),
  ])
}

/** The data of NBD_OPT_SET_META_CONTEXT. */
export function encodeMetaContexts(exportName: string, queries: readonly string[]): Buffer {
  return Buffer.concat([
    encodeString(exportName), uint32(queries.length), ...queries.map(encodeString),
  ])
}

function encodeString(text: string): Buffer {
  const bytes = Buffer.from(text, 'utf8')
  if (bytes.length > NBD_MAX_STRING || text.includes('\0')) {
    throw new Fault('nbd-refused', `NBD names are at most ${NBD_MAX_STRING} bytes, without NUL`)
  }
  return Buffer.concat([uint32(bytes.length), bytes])
}

export interface OptionReply {
  readonly option: number
  readonly type: number
  readonly length: number
}

export function decodeOptionReply(bytes: Buffer): OptionReply {
  if (bytes.readBigUInt64BE(0) !== NBD_REP_MAGIC) {
    throw protocolFault('an option reply lacks its magic')
  }
  return {
    option: bytes.readUInt32BE(8), type: bytes.readUInt32BE(12), length: bytes.readUInt32BE(16),
  }
}

export interface ExportFacts {
  readonly sizeBytes: number
  readonly flags: number
}

export interface BlockSizes {
  readonly minimum: number
  readonly preferred: number
  readonly maximumPayload: number
}

/** Offsets and lengths of any alignment: what a server allows that states nothing. */
export const DEFAULT_BLOCK_SIZES: BlockSizes = {
  minimum: 1, preferred: 4096, maximumPayload: NBD_DEFAULT_MAX_PAYLOAD,
}

/** The largest read or write that both sides allow, a multiple of the smallest. */
export function largestRequest(limits: NbdLimits, sizes: BlockSizes): number {
  const most = Math.min(limits.requestBytes, sizes.maximumPayload)
  return Math.max(sizes.minimum, most - (most % sizes.minimum))
}

export type Information =
  | { readonly type: 'export'; readonly facts: ExportFacts }
  | { readonly type: 'block-size'; readonly sizes: BlockSizes }
  | { readonly type: 'other' }

/** The data of NBD_REP_INFO. */
export function decodeInformation(data: Buffer): Information {
  if (data.length < 2) throw protocolFault('NBD_REP_INFO has no type')
  switch (data.readUInt16BE(0)) {
    case NBD_INFO_EXPORT: {
      if (data.length !== 12) throw protocolFault('NBD_INFO_EXPORT has a wrong length')
      const flags = data.readUInt16BE(10)
      if ((flags & NBD_FLAG_HAS_FLAGS) === 0) throw protocolFault('NBD_FLAG_HAS_FLAGS is not set')
      return {
        type: 'export', facts: { sizeBytes: readSafeInteger(data, 2, 'the export size'), flags } }
    }
    case NBD_INFO_BLOCK_SIZE: {
      if (data.length !== 14) throw protocolFault('NBD_INFO_BLOCK_SIZE has a wrong length')
      return { type: 'block-size', sizes: checkedBlockSizes(data) }
    }
    default:
      return { type: 'other' }
  }
}

function checkedBlockSizes(data: Buffer): BlockSizes {
  const sizes = {
    minimum: data.readUInt32BE(2), preferred: data.readUInt32BE(6),
    maximumPayload: data.readUInt32BE(10),
  }
  const ok = isPowerOfTwo(sizes.minimum) && sizes.minimum <= NBD_MAX_MINIMUM_BLOCK &&
    isPowerOfTwo(sizes.preferred) && sizes.preferred >= sizes.minimum &&
    sizes.maximumPayload >= sizes.minimum
  if (!ok) throw protocolFault(`block sizes ${Object.values(sizes).join(', ')} make no sense`)
  return sizes
}

/** The data of NBD_REP_META_CONTEXT. */
export function decodeMetaContext(data: Buffer): { readonly id: number; readonly name: string } {
  if (data.length < 4) throw protocolFault('NBD_REP_META_CONTEXT has no id')
  return { id: data.readUInt32BE(0), name: data.toString('utf8', 4) }
}

/** A request message; a write's payload follows it. */
export function encodeRequest(
  type: number, cookie: number, offset: number, length: number): Buffer {
  const bytes = Buffer.alloc(28)
  bytes.writeUInt32BE(NBD_REQUEST_MAGIC, 0)
  bytes.writeUInt16BE(type, 6)
  writeSafeInteger(bytes, cookie, 8)
  writeSafeInteger(bytes, offset, 16)
  bytes.writeUInt32BE(length, 24)
  return bytes
}

export type ReplyHeader =
  | { readonly form: 'simple'; readonly error: number; readonly cookie: number }
  | {
    readonly form: 'chunk'
    readonly flags: number
    readonly type: number
    readonly cookie: number
    readonly length: number
  }

/** How many bytes a reply's header has, told by its first four. */
export function replyHeaderBytes(magic: number): number {
  switch (magic) {
    case NBD_SIMPLE_REPLY_MAGIC:
      return SIMPLE_REPLY_BYTES
    case NBD_STRUCTURED_REPLY_MAGIC:
      return STRUCTURED_REPLY_BYTES
    default:
      throw protocolFault('a reply lacks its magic')
  }
}

/** A whole header, as long as `replyHeaderBytes` says. */
export function decodeReplyHeader(bytes: Buffer): ReplyHeader {
  const cookie = readSafeInteger(bytes, 8, 'a cookie')
  if (bytes.readUInt32BE(0) === NBD_SIMPLE_REPLY_MAGIC) {
    return { form: 'simple', error: bytes.readUInt32BE(4), cookie }
  }
  return {
    form: 'chunk', flags: bytes.readUInt16BE(4), type: bytes.readUInt16BE(6), cookie,
    length: bytes.readUInt32BE(16),
  }
}

/** A 64-bit number as safe integer; a larger one is a Fault, no disk is that big. */
export function readSafeInteger(bytes: Buffer, at: number, what: string): number {
  const value = bytes.readUInt32BE(at) * 2 ** 32 + bytes.readUInt32BE(at + 4)
  if (!Number.isSafeInteger(value)) throw protocolFault(`${what} is 2^53 or more`)
  return value
}

function writeSafeInteger(bytes: Buffer, value: number, at: number): void {
  bytes.writeUInt32BE(Math.floor(value / 2 ** 32), at)
  bytes.writeUInt32BE(value % 2 ** 32, at + 4)
}

function uint16(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16BE(value)
  return bytes
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

function isPowerOfTwo(value: number): boolean {
  return value > 0 && Number.isInteger(Math.log2(value))
}
