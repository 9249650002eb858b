/**
 * The token that the agent leaves in the machine at each freeze that a hook told it of: once before
 * the file systems are frozen, so that it lies in the image, and again after the thaw.
 */

import { parseJson } from '../base/json.ts'
import type { HookedApplication, HookReport } from '../consistency/mod.ts'
import {
  list, nonsense, number, object, oneOf, parseHeld, parseThawed, text,
} from './answers.ts'

/** Not on a file system in memory: it is to be in the image. */
export const TOKEN_FILE = '/var/lib/stillpoint/token.json'
/** 256 applications at what evidence keeps of each. */
export const MAX_TOKEN_BYTES = 4 * 1024 * 1024

const NONCE = /^[0-9a-f]{32}$/
const MAX_NAME = 256
const MAX_KEPT = 4096
const MAX_HELD_MS = 1e9

export interface HookToken {
  /** Of the requestor that announced itself; null where the freeze came from anybody. */
  readonly nonce: string | null
  /** With `count`, which freeze of which run of the machine it was, where there is no nonce. */
  readonly bootId: string
  readonly count: number
  readonly state: 'failed' | 'frozen' | 'thawed'
  readonly applications: ReadonlyMap<string, HookedApplication>
}

export function isNonce(value: unknown): value is string {
  return typeof value === 'string' && NONCE.test(value)
}

/** What applications said is cut to what evidence keeps of it. */
export function encodeToken({ applications, ...token }: HookToken): Uint8Array {
  const kept = [...applications].map(([name, { held, thawed, heldMs }]) => ({
    name,
    held: 'message' in held ? { code: held.code, message: cut(held.message) }
      : { ...held, statement: cut(held.statement) },
    thawed: thawed === null ? null
      : thawed.state === 'unknown' ? { ...thawed, detail: cut(thawed.detail) }
        : { ...thawed, statement: cut(thawed.statement) },
    heldMs,
  }))
  return Buffer.from(`${JSON.stringify({ version: 1, ...token, applications: kept })}\n`)
}

function cut(said: string): string {
  return said.slice(0, MAX_KEPT)
}

/** Foreign: the machine's. Faults: `agent-protocol`, also for one that is not whole. */
export function parseToken(bytes: Uint8Array): HookToken {
  const { version, nonce, bootId, count, state, applications } =
    object(parseJson(bytes, 'the token of the agent', 'agent-protocol',
      { maxBytes: MAX_TOKEN_BYTES, maxDepth: 8 }))
  if (version !== 1) throw nonsense('a token is of another version')
  if (nonce !== null && !isNonce(nonce)) throw nonsense('a nonce is none')
  const entries = list(applications, MAX_NAME).map((entry) => {
    const { name, ...rest } = object(entry)
    return [text(name, MAX_NAME), parseHooked(rest)] as const
  })
  const known = new Map(entries)
  if (known.size < entries.length) throw nonsense('two applications have one name')
  return {
    nonce, bootId: text(bootId, MAX_NAME), count: number(count, Number.MAX_SAFE_INTEGER),
    state: oneOf(state, ['failed', 'frozen', 'thawed']), applications: known,
  }
}

function parseHooked(fields: Readonly<Record<string, unknown>>): HookedApplication {
  const { held, thawed, heldMs } = fields
  const { code, message } = object(held)
  return {
    held: message === undefined ? parseHeld(held)
      : { code: text(code, MAX_NAME), message: text(message, MAX_KEPT) },
    thawed: thawed === null ? null : parseThawed(thawed),
    heldMs: heldMs === null ? null : number(heldMs, MAX_HELD_MS),
  }
}

/** What it says of the freeze of this run alone. */
export function reportOf(token: HookToken, nonce: string): HookReport {
  if (token.nonce === nonce) return { state: token.state, applications: token.applications }
  return { missing: token.nonce === null
    ? 'the token in the machine is of a freeze that nobody had announced'
    : 'the token in the machine is of another freeze' }
}
