/** The handshake: fixed newstyle, ended by NBD_OPT_GO (doc/proto.md "Handshake"). */

import { Fault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import {
  DEFAULT_BLOCK_SIZES, decodeInformation, decodeMetaContext, decodeOptionReply, encodeGo,
  encodeMetaContexts, encodeOption, OPTION_REPLY_BYTES, type BlockSizes, type ExportFacts,
} from './codec.ts'
import { protocolFault } from './nbd-error.ts'
import {
  BASE_ALLOCATION, IHAVEOPT, NBD_FLAG_FIXED_NEWSTYLE, NBD_FLAG_NO_ZEROES, NBD_INFO_BLOCK_SIZE,
  NBD_MAGIC, NBD_MAX_STRING, NBD_OPT_GO, NBD_OPT_SET_META_CONTEXT, NBD_OPT_STRUCTURED_REPLY,
  NBD_REP_ACK, NBD_REP_ERR_UNSUP, NBD_REP_ERRORS, NBD_REP_FLAG_ERROR, NBD_REP_INFO,
  NBD_REP_META_CONTEXT,
} from './protocol.ts'
import type { SocketReader } from './socket-reader.ts'

export interface Negotiated {
  readonly facts: ExportFacts
  readonly sizes: BlockSizes
  readonly isStructured: boolean
  /** The selected metadata contexts: name → id. */
  readonly contexts: ReadonlyMap<string, number>
}

/** No reply holds more than one string and a few numbers. */
const MAX_REPLY_BYTES = NBD_MAX_STRING + 64
/** A reply for each thing asked for and what a server may volunteer. */
const MAX_REPLIES = 64

/**
 * Negotiates structured replies, metadata contexts and the export, up to the first request.
 * Faults: `nbd-refused`, `nbd-protocol`; the connection's own errors pass through.
 */
export async function negotiate(
  reader: SocketReader, exportName: string, requiredContexts: readonly string[],
): Promise<Negotiated> {
  await greet(reader)
  const isStructured = await negotiateStructuredReplies(reader)
  const contexts = isStructured
    ? await negotiateContexts(reader, exportName, [BASE_ALLOCATION, ...requiredContexts])
    : new Map<string, number>()
  for (const name of requiredContexts) {
    if (!contexts.has(name)) {
      throw new Fault(
        'nbd-refused', `the NBD export "${printable(exportName)}" has no metadata context ${name}`)
    }
  }
  return { ...await go(reader, exportName), isStructured, contexts }
}

async function greet(reader: SocketReader): Promise<void> {
  const greeting = Buffer.alloc(18)
  await reader.fill(greeting)
  if (greeting.readBigUInt64BE(0) !== NBD_MAGIC) throw protocolFault('the greeting lacks its magic')
  const flags = greeting.readUInt16BE(16)
  if (greeting.readBigUInt64BE(8) !== IHAVEOPT || (flags & NBD_FLAG_FIXED_NEWSTYLE) === 0) {
    throw new Fault('nbd-refused', 'the NBD server does not speak the fixed newstyle handshake')
  }
  const answer = Buffer.alloc(4)
  answer.writeUInt32BE(flags & (NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES))
  reader.socket.write(answer)
}

async function negotiateStructuredReplies(reader: SocketReader): Promise<boolean> {
  const outcome = await ask(reader, NBD_OPT_STRUCTURED_REPLY, Buffer.alloc(0), () => {
    throw protocolFault('an unexpected reply to NBD_OPT_STRUCTURED_REPLY')
  })
  if (outcome.refused === undefined) return true
  if (outcome.refused === NBD_REP_ERR_UNSUP) return false
  throw new Fault('nbd-refused', `the NBD server refused structured replies: ${outcome.text}`)
}

async function negotiateContexts(
  reader: SocketReader, exportName: string, names: readonly string[],
): Promise<Map<string, number>> {
  const contexts = new Map<string, number>()
  const query = encodeMetaContexts(exportName, names)
  const outcome = await ask(reader, NBD_OPT_SET_META_CONTEXT, query, (type, data) => {
    if (type !== NBD_REP_META_CONTEXT) {
      throw protocolFault('an unexpected reply to NBD_OPT_SET_META_CONTEXT')
    }
    const { id, name } = decodeMetaContext(data)
    if (!names.includes(name)) throw protocolFault('a metadata context was selected unasked')
    if (contexts.has(name) || [...contexts.values()].includes(id)) {
      throw protocolFault('a metadata context was selected twice')
    }
    contexts.set(name, id)
  })
  // An export that does not exist is refused here already, and again with a better text by GO.
  return outcome.refused === undefined ? contexts : new Map()
}

async function go(
  reader: SocketReader, exportName: string): Promise<Pick<Negotiated, 'facts' | 'sizes'>> {
  let facts: ExportFacts | undefined
  let sizes = DEFAULT_BLOCK_SIZES
  const data = encodeGo(exportName, [NBD_INFO_BLOCK_SIZE])
  const outcome = await ask(reader, NBD_OPT_GO, data, (type, reply) => {
    if (type !== NBD_REP_INFO) throw protocolFault('an unexpected reply to NBD_OPT_GO')
    const information = decodeInformation(reply)
    if (information.type === 'export') ({ facts } = information)
    else if (information.type === 'block-size') ({ sizes } = information)
  })
  if (outcome.refused !== undefined) {
    throw new Fault('nbd-refused',
      `the NBD server refused the export "${printable(exportName)}": ${outcome.text}`)
  }
  if (facts === undefined) throw protocolFault('NBD_OPT_GO ended without NBD_INFO_EXPORT')
  return { facts, sizes }
}

type Outcome =
  | { readonly refused: undefined }
  | { readonly refused: number; readonly text: string }

/** Sends an option and hands each of its replies to `onReply` until the last. */
async function ask(
  reader: SocketReader, option: number, data: Buffer,
  onReply: (type: number, data: Buffer) => void,
): Promise<Outcome> {
  reader.socket.write(encodeOption(option, data))
  const header = Buffer.alloc(OPTION_REPLY_BYTES)
  for (let count = 0; count < MAX_REPLIES; count++) {
    await reader.fill(header)
    const reply = decodeOptionReply(header)
    if (reply.option !== option) throw protocolFault('a reply to an option that was not sent')
    if (reply.length > MAX_REPLY_BYTES) {
      throw protocolFault(`an option reply of ${reply.length} bytes`)
    }
    const body = Buffer.alloc(reply.length)
    await reader.fill(body)
    if (reply.type === NBD_REP_ACK) return { refused: undefined }
    if (reply.type >= NBD_REP_FLAG_ERROR) {
      const name = NBD_REP_ERRORS.get(reply.type) ?? `error ${reply.type - NBD_REP_FLAG_ERROR}`
      const text = printable(body.toString('utf8'))
      return { refused: reply.type, text: text === '' ? name : `${name}, ${text}` }
    }
    onReply(reply.type, body)
  }
  throw protocolFault(`more than ${MAX_REPLIES} replies to one option`)
}
