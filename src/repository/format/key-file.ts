/** Key files: the master key, sealed by a key that scrypt makes of a password (restic, "Keys"). */

import { scrypt } from 'node:crypto'
import { z } from 'zod'
import { abortable } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import type { RandomBytes } from '../../base/random.ts'
import type { Secret } from '../../base/secret.ts'
import { KEY_BYTES, MasterKey } from './crypto.ts'
import { goObject, goString, NO_TIME, parseGoJson, parseGoTime, type GoTime } from './go-json.ts'

/** RFC 7914 §2: cost, block size, parallelisation. */
export interface ScryptCost {
  readonly N: number
  readonly r: number
  readonly p: number
}

/** 32 MiB, and about a quarter of a second on one core. */
export const DEFAULT_SCRYPT_COST: ScryptCost = { N: 32_768, r: 8, p: 3 }

/** A key file comes from outside: one that asks for more is refused before it costs anything. */
const MAX_SCRYPT_MEMORY_BYTES = 1024 ** 3
const MAX_SCRYPT_WORK_BYTES = 8 * 1024 ** 3

export const MAX_KEY_FILE_BYTES = 64 * 1024
const SALT_BYTES = 64

export interface KeyFile {
  readonly created: GoTime
  readonly username: string
  readonly hostname: string
  readonly cost: ScryptCost
  readonly salt: Uint8Array
  /** The master key, sealed. */
  readonly data: Uint8Array
}

const base64 = z.string().max(16_384).transform((text, context) => {
  const bytes = Buffer.from(text, 'base64')
  if (bytes.toString('base64') === text) return new Uint8Array(bytes)
  context.addIssue({ code: 'custom', message: 'is not base64' })
  return z.NEVER
})
const bytesOf = (length: number) => base64.refine((bytes) => bytes.length === length)
const cost = z.int().min(1).max(0x7fff_ffff)

const SHAPE = z.object({
  // rustic leaves these three out.
  created: z.string().default(NO_TIME),
  username: z.string().default(''),
  hostname: z.string().default(''),
  kdf: z.literal('scrypt'),
  N: cost.refine((n) => n >= 2 && (n & (n - 1)) === 0),
  r: cost,
  p: cost,
  salt: bytesOf(SALT_BYTES),
  data: base64,
})
const MASTER_SHAPE = z.object({
  mac: z.object({ k: bytesOf(16), r: bytesOf(16) }),
  encrypt: bytesOf(32),
})

/** The file's plain JSON, as restic writes it. */
export function encodeKeyFile(file: KeyFile): Uint8Array<ArrayBuffer> {
  const json = goObject([
    ['created', goString(file.created)],
    ['username', goString(file.username)],
    ['hostname', goString(file.hostname)],
    ['kdf', goString('scrypt')],
    ['N', String(file.cost.N)],
    ['r', String(file.cost.r)],
    ['p', String(file.cost.p)],
    ['salt', inBase64(file.salt)],
    ['data', inBase64(file.data)],
  ])
  return new Uint8Array(Buffer.from(json, 'utf8'))
}

/** Reads a file's JSON. Fault: `repository-damaged`, naming `what`, also where it is too costly. */
export function parseKeyFile(json: Uint8Array, what: string): KeyFile {
  const shape = SHAPE.safeParse(parseGoJson(json, what, MAX_KEY_FILE_BYTES))
  if (!shape.success) {
    throw new Fault('repository-damaged', `${what} is not a key file`, { cause: shape.error })
  }
  const { username, hostname, N, r, p, salt, data } = shape.data
  const memory = 128 * N * r
  if (memory + 128 * r * p > MAX_SCRYPT_MEMORY_BYTES || memory * p > MAX_SCRYPT_WORK_BYTES) {
    throw new Fault('repository-damaged', `${what} asks for more than ${
      MAX_SCRYPT_MEMORY_BYTES / 1024 ** 3} GiB of memory or too much work`)
  }
  const created = parseGoTime(shape.data.created, what)
  return { created, username, hostname, cost: { N, r, p }, salt, data }
}

/** A key file that opens with `password`. `master` is `KEY_BYTES` long. */
export async function sealMasterKey(
  master: MasterKey,
  password: Secret,
  origin: Pick<KeyFile, 'created' | 'username' | 'hostname' | 'cost'>,
  random: RandomBytes,
  signal: AbortSignal,
): Promise<KeyFile> {
  const salt = random(SALT_BYTES)
  const userKey = await deriveKey(password, salt, origin.cost, signal)
  const bytes = master.toBytes()
  const mac = goObject([
    ['k', inBase64(bytes.subarray(32, 48))], ['r', inBase64(bytes.subarray(48, 64))],
  ])
  const json = goObject([['mac', mac], ['encrypt', inBase64(bytes.subarray(0, 32))]])
  const { created, username, hostname, cost } = origin
  const data = userKey.seal(Buffer.from(json, 'latin1'), random)
  return { created, username, hostname, cost, salt, data }
}

/**
 * The master key, or undefined if `password` is not this file's.
 * Fault: `repository-damaged`, naming `what`, if it opens and holds no key.
 */
export async function openMasterKey(
  file: KeyFile, password: Secret, what: string, signal: AbortSignal,
): Promise<MasterKey | undefined> {
  const userKey = await deriveKey(password, file.salt, file.cost, signal)
  const json = userKey.tryOpen(file.data)
  if (json === undefined) return undefined
  const shape = MASTER_SHAPE.safeParse(parseGoJson(json, `the key in ${what}`, MAX_KEY_FILE_BYTES))
  if (!shape.success) throw new Fault('repository-damaged', `${what} holds no master key`)
  const { encrypt, mac } = shape.data
  return new MasterKey(Buffer.concat([encrypt, mac.k, mac.r]))
}

function deriveKey(
  password: Secret, salt: Uint8Array, { N, r, p }: ScryptCost, signal: AbortSignal,
): Promise<MasterKey> {
  const maxmem = 128 * N * r + 128 * r * p + 1024 * 1024
  const derived = new Promise<MasterKey>((resolve, reject) => {
    scrypt(password.reveal(), salt, KEY_BYTES, { N, r, p, maxmem }, (error, bytes) => {
      if (error === null) resolve(new MasterKey(bytes))
      else reject(error)
    })
  })
  return abortable(derived, signal)
}

function inBase64(bytes: Uint8Array): string {
  return `"${Buffer.from(bytes).toString('base64')}"`
}
