/**
 * What the requestor and the agent inside a machine say to each other: one JSON object a line.
 *
 * The requestor asks, the agent answers, in any order; a number joins the two. A channel may carry
 * what an earlier requestor left in it, so each conversation begins with `hello` and a nonce, and
 * every line of it carries that nonce: lines with another one are nobody's.
 */

import { FAULT_CODES, type FaultCode } from '../base/fault-codes.ts'
import { Fault } from '../base/fault.ts'
import { isJsonObject, parseJson } from '../base/json.ts'
import { printable } from '../base/text.ts'

/** Raised with each change that the other side would not understand. */
export const PROTOCOL_VERSION = 1

/** The longest line: 256 applications, each with its places. */
export const MAX_LINE_BYTES = 1024 * 1024
const MAX_DEPTH = 12
const NONCE = /^[0-9a-f]{32}$/

export type Question =
  | { readonly do: 'hello'; readonly version: number }
  | { readonly do: 'discover' }
  | { readonly do: 'prepare'; readonly name: string }
  /** `key` is what `prepare` answered with. */
  | { readonly do: 'freeze' | 'thaw' | 'complete' | 'abort'; readonly key: number }

export interface Request {
  readonly session: string
  readonly id: number
  readonly question: Question
}

export interface Reply {
  readonly session: string
  readonly id: number
  /** Its shape depends on the question; not looked at yet. */
  readonly answer: { readonly ok: unknown } | { readonly fault: Fault }
}

export function encodeRequest({ session, id, question }: Request): string {
  return `${JSON.stringify({ session, id, ...question })}\n`
}

export function encodeReply({ session, id, answer }: Reply): string {
  if ('ok' in answer) return `${JSON.stringify({ session, id, ok: answer.ok ?? null })}\n`
  return `${JSON.stringify({ session, id, fault: plainFault(answer.fault) })}\n`
}

/** As `faultOf` reads it. */
export function plainFault({ code, message, advice }: Fault): object {
  return { code, message: message.slice(0, 4000), ...advice === undefined ? {} : { advice } }
}

/** Nothing if the line is no request that this version knows: left in the channel, or damaged. */
export function parseRequest(line: Uint8Array): Request | undefined {
  const fields = fieldsOf(line)
  const question = fields && questionOf(fields)
  return fields === undefined || question === undefined
    ? undefined : { session: fields.session, id: fields.id, question }
}

function questionOf(fields: Fields): Question | undefined {
  const { do: verb, version, name, key } = fields.rest
  switch (verb) {
    case 'hello': return typeof version === 'number' ? { do: verb, version } : undefined
    case 'discover': return { do: verb }
    case 'prepare': return typeof name === 'string' && name.length <= 256
      ? { do: verb, name } : undefined
    case 'freeze': case 'thaw': case 'complete': case 'abort':
      return typeof key === 'number' && Number.isSafeInteger(key) ? { do: verb, key } : undefined
    default: return undefined
  }
}

/** Nothing if the line is no reply: left in the channel, or damaged. */
export function parseReply(line: Uint8Array): Reply | undefined {
  const fields = fieldsOf(line)
  if (fields === undefined) return undefined
  const { session, id, rest } = fields
  if ('ok' in rest) return { session, id, answer: { ok: rest['ok'] } }
  return isJsonObject(rest['fault'])
    ? { session, id, answer: { fault: faultOf(rest['fault']) } } : undefined
}

interface Fields {
  readonly session: string
  readonly id: number
  readonly rest: Readonly<Record<string, unknown>>
}

function fieldsOf(line: Uint8Array): Fields | undefined {
  let value: unknown
  try {
    value = parseJson(line, 'a line', 'agent-protocol',
      { maxBytes: MAX_LINE_BYTES, maxDepth: MAX_DEPTH })
  } catch {
    return undefined
  }
  if (!isJsonObject(value)) return undefined
  const { session, id, ...rest } = value
  const isOurs = typeof session === 'string' && NONCE.test(session) &&
    typeof id === 'number' && Number.isSafeInteger(id)
  return isOurs ? { session, id, rest } : undefined
}

/** A fault of the other side; a code that this version does not know is a failed writer. */
export function faultOf({ code, message, advice }: Readonly<Record<string, unknown>>): Fault {
  const known = typeof code === 'string' && Object.hasOwn(FAULT_CODES, code)
    ? code as FaultCode : 'writer-failed'
  const said = typeof message === 'string' ? message : 'no reason given'
  return new Fault(known, printable(said, 4000),
    typeof advice === 'string' ? { advice: printable(advice, 1000), retry: 'later' } : {})
}
