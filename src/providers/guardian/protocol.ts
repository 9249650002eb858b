/**
 * What the requestor and its guardian say to one another: JSON lines over the guardian's standard
 * input and output. Both ends are ours, so a message that is not understood is a broken build.
 */

import type { FreezeLimits } from '../../consistency/mod.ts'
import { Fault, type FaultCode } from '../../base/fault.ts'
import { FAULT_CODES } from '../../base/fault-codes.ts'
import { isJsonObject } from '../../base/json.ts'
import { parseSockets, type HoldSockets } from './record.ts'

export type GuardianRequest =
  /** Names what may have to be released, and connects to the agent if there is one. */
  | {
      readonly do: 'open'
      readonly sockets: HoldSockets
      readonly recordFile: string
      /** Block nodes whose names start like this are this requestor's; '' if it makes none. */
      readonly nodePrefix: string
      /** For the agent to answer; 0: it is not asked. */
      readonly answerMs: number
    }
  /** Releases what `recordFile` says is held: the first request of a replacement. */
  | {
      readonly do: 'recover'
      readonly recordFile: string
      readonly nodePrefix: string
      readonly limitMs: number
    }
  | { readonly do: 'file-systems' }
  /** A command of the agent for programs and files, while nothing is held. */
  | { readonly do: 'guest'; readonly command: GuestCommand
      readonly args: Readonly<Record<string, unknown>> }
  | { readonly do: 'freeze'; readonly limits: FreezeLimits }
  | { readonly do: 'thaw'; readonly thawMs: number }
  /** The requestor is about to stop the machine. */
  | { readonly do: 'stopping' }
  /** The requestor let the machine run again. */
  | { readonly do: 'resumed' }
  /** The requestor has undone what it made in the machine; the guardian may end. */
  | { readonly do: 'close' }

const GUEST_COMMANDS = [
  'guest-exec', 'guest-exec-status', 'guest-file-open', 'guest-file-read', 'guest-file-close',
] as const
export type GuestCommand = (typeof GUEST_COMMANDS)[number]

/** An agent's state as `open` found it. */
export interface OpenedAgent {
  readonly version: string
  readonly canFreeze: boolean
  readonly status: 'thawed' | 'frozen'
}

/** How a release ended. */
export type Release =
  | { readonly state: 'thawed'; readonly count: number | undefined; readonly early: boolean }
  | { readonly state: 'not-frozen' }
  | { readonly state: 'unknown'; readonly detail: string }

export type GuardianMessage =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly fault: PlainFault }
  /** The thaw was written to the agent; `early` if the requestor had not asked for it. */
  | { readonly event: 'thaw-issued'; readonly early: boolean }
  /** The agent answered the thaw. */
  | { readonly event: 'thaw-answered' }

export interface PlainFault {
  readonly code: FaultCode
  readonly message: string
  readonly advice: string | undefined
}

/** Longest message either way: a list of file systems. */
export const MAX_MESSAGE_BYTES = 8 * 1024 * 1024

/**
 * A message as a line without its end. An answer too long for the requestor becomes a fault: what a
 * guest said in four megabytes may take more in our words.
 */
export function encodeMessage(message: GuardianMessage): string {
  const text = JSON.stringify(message)
  if (!('value' in message) || Buffer.byteLength(text) <= MAX_MESSAGE_BYTES) return text
  const fault = new Fault('agent-protocol', 'the answer of the agent is too long')
  return JSON.stringify({ id: message.id, fault: plainFault(fault) })
}

export function plainFault(error: unknown): PlainFault {
  return error instanceof Fault
    ? { code: error.code, message: error.message, advice: error.advice }
    : { code: 'guardian-failed', message: String(error), advice: undefined }
}

export function faultFromPlain(plain: PlainFault): Fault {
  return new Fault(plain.code, plain.message,
    { retry: 'later', ...(plain.advice === undefined ? {} : { advice: plain.advice }) })
}

/** Undefined for what is no request. */
export function parseRequest(value: unknown): (GuardianRequest & { id: number }) | undefined {
  if (!isJsonObject(value) || typeof value['id'] !== 'number') return undefined
  const { id } = value
  const { sockets, recordFile, nodePrefix, answerMs, limitMs, limits, thawMs } = value
  switch (value['do']) {
    case 'open':
      if (!isJsonObject(sockets) || typeof recordFile !== 'string') return undefined
      if (typeof answerMs !== 'number' || typeof nodePrefix !== 'string') return undefined
      return { id, do: 'open', sockets: parseSockets(sockets), recordFile, nodePrefix, answerMs }
    case 'recover':
      if (typeof recordFile !== 'string' || typeof limitMs !== 'number') return undefined
      if (typeof nodePrefix !== 'string') return undefined
      return { id, do: 'recover', recordFile, nodePrefix, limitMs }
    case 'guest': {
      const { command, args } = value
      const known = GUEST_COMMANDS.find((it) => it === command)
      return known !== undefined && isJsonObject(args)
        ? { id, do: 'guest', command: known, args } : undefined
    }
    case 'freeze': {
      const parsed = parseLimits(limits)
      return parsed === undefined ? undefined : { id, do: 'freeze', limits: parsed }
    }
    case 'thaw':
      return typeof thawMs === 'number' ? { id, do: 'thaw', thawMs } : undefined
    case 'file-systems':
    case 'stopping':
    case 'resumed':
    case 'close':
      return { id, do: value['do'] }
    default:
      return undefined
  }
}

function parseLimits(value: unknown): FreezeLimits | undefined {
  if (!isJsonObject(value)) return undefined
  const { freezeMs, holdMs, thawMs } = value
  if (typeof freezeMs !== 'number' || typeof holdMs !== 'number') return undefined
  return typeof thawMs === 'number' ? { freezeMs, holdMs, thawMs } : undefined
}

/** Undefined for what is no message. */
export function parseMessage(value: unknown): GuardianMessage | undefined {
  if (!isJsonObject(value)) return undefined
  if (value['event'] === 'thaw-issued') {
    return { event: 'thaw-issued', early: value['early'] === true }
  }
  if (value['event'] === 'thaw-answered') return { event: 'thaw-answered' }
  const { id, fault } = value
  if (typeof id !== 'number') return undefined
  if (fault === undefined) return { id, value: value['value'] }
  if (!isJsonObject(fault)) return undefined
  const { code, message, advice } = fault
  if (!isFaultCode(code) || typeof message !== 'string') return undefined
  return { id, fault: {
    code, message, advice: typeof advice === 'string' ? advice : undefined } }
}

function isFaultCode(value: unknown): value is FaultCode {
  return typeof value === 'string' && Object.hasOwn(FAULT_CODES, value)
}

/** Faults: `guardian-failed`. */
export function parseOpenedAgent(value: unknown): OpenedAgent {
  if (!isJsonObject(value)) throw nonsense()
  const { version, canFreeze, status } = value
  if (typeof version !== 'string' || typeof canFreeze !== 'boolean') throw nonsense()
  if (status !== 'thawed' && status !== 'frozen') throw nonsense()
  return { version, canFreeze, status }
}

/** Faults: `guardian-failed`. */
export function parseRelease(value: unknown): Release {
  if (!isJsonObject(value)) throw nonsense()
  const { state, count, early, detail } = value
  switch (state) {
    case 'thawed':
      return { state, count: typeof count === 'number' ? count : undefined, early: early === true }
    case 'not-frozen':
      return { state }
    case 'unknown':
      return { state, detail: String(detail) }
    default:
      throw nonsense()
  }
}

/** The count of a freeze. Faults: `guardian-failed`. */
export function parseCount(value: unknown): { readonly count: number } {
  if (!isJsonObject(value) || typeof value['count'] !== 'number') throw nonsense()
  return { count: value['count'] }
}

function nonsense(): Fault {
  return new Fault('guardian-failed', 'the guardian sent an answer that cannot be understood')
}
