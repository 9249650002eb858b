/**
 * Ed25519 keys (RFC 8032) that sign evidence, in the forms that OpenSSL reads and writes: PKCS #8
 * (RFC 5958) and SubjectPublicKeyInfo (RFC 8410), both as PEM.
 */

import { createPrivateKey, createPublicKey, hash, sign, verify, type KeyObject } from 'node:crypto'
import { Fault } from '../../base/fault.ts'
import type { RandomBytes } from '../../base/random.ts'
import { Secret } from '../../base/secret.ts'

/** SHA-256 of the public key's DER: 64 lowercase hexadecimal digits. What an operator pins. */
export type Fingerprint = string & { readonly kind: 'fingerprint' }

export interface PublicKey {
  readonly fingerprint: Fingerprint
  /** As `openssl pkey -pubout` prints it, with its last line break. */
  readonly pem: string
}

/** Holds a private key and never shows it. */
export interface Signer {
  readonly publicKey: PublicKey
  /** 64 bytes; the same for the same message. */
  sign(message: Uint8Array): Uint8Array
}

/** What stands before the 32 bytes of a key in its DER: nothing else in it varies. */
const PRIVATE_HEAD = Buffer.from('302e020100300506032b657004220420', 'hex')
const PUBLIC_HEAD = Buffer.from('302a300506032b6570032100', 'hex')
const KEY_BYTES = 32
export const SIGNATURE_BYTES = 64
/** A key file is 119 bytes; other programs may add a comment. */
export const MAX_KEY_FILE_BYTES = 4096

const PUBLIC_PEM =
  /^-----BEGIN PUBLIC KEY-----\n([A-Za-z0-9+/]{58}[A-Za-z0-9+/=]{2})\n-----END PUBLIC KEY-----\n$/

/** A new private key, as PEM. */
export function newSigningKey(random: RandomBytes): Secret {
  const der = Buffer.concat([PRIVATE_HEAD, random(KEY_BYTES)])
  const pem = `-----BEGIN PRIVATE KEY-----\n${der.toString('base64')}\n-----END PRIVATE KEY-----\n`
  return new Secret(pem)
}

/** Fault: `evidence-key-invalid`, naming `what`; nothing of the text is echoed. */
export function parseSigningKey(pem: Secret, what: string): Signer {
  const key = privateKey(pem, what)
  const publicKey = publicKeyOf(createPublicKey(key).export({ type: 'spki', format: 'der' }))
  return { publicKey, sign: (message) => new Uint8Array(sign(null, message, key)) }
}

function privateKey(pem: Secret, what: string): KeyObject {
  const advice = 'Name a private key of Ed25519 in PEM, as `openssl genpkey -algorithm ed25519` ' +
    'writes it, without a password.'
  let key: KeyObject
  try {
    key = createPrivateKey(pem.reveal())
  } catch (cause) {
    // What OpenSSL says names the place in its own source, never the text.
    throw new Fault('evidence-key-invalid', `${what} holds no private key`, { cause, advice })
  }
  if (key.asymmetricKeyType === 'ed25519') return key
  throw new Fault('evidence-key-invalid', `${what} holds a key of another kind`, { advice })
}

function publicKeyOf(der: Uint8Array): PublicKey {
  const body = Buffer.from(der).toString('base64')
  return {
    fingerprint: hash('sha256', der, 'hex') as Fingerprint,
    pem: `-----BEGIN PUBLIC KEY-----\n${body}\n-----END PUBLIC KEY-----\n`,
  }
}

/** The key that the PEM of a stored record holds; undefined unless it is exactly what we write. */
export function parsePublicKey(pem: string): PublicKey | undefined {
  const body = PUBLIC_PEM.exec(pem)?.[1] ?? ''
  const der = Buffer.from(body, 'base64')
  const isKey = der.length === PUBLIC_HEAD.length + KEY_BYTES &&
    der.subarray(0, PUBLIC_HEAD.length).equals(PUBLIC_HEAD)
  const key = isKey ? publicKeyOf(der) : undefined
  return key?.pem === pem ? key : undefined
}

/** True if `signature` is that of `message` by `key`. Total. */
export function isSignedBy(key: PublicKey, message: Uint8Array, signature: Uint8Array): boolean {
  try {
    return verify(null, message, createPublicKey(key.pem), signature)
  } catch {
    return false // bytes that are no point of the curve
  }
}

/** A fingerprint as people write it: colons, spaces and capitals do not matter. */
export function parseFingerprint(text: string): Fingerprint | undefined {
  const digits = text.trim().replace(/^sha256:/i, '').replace(/[:\s]/g, '').toLowerCase()
  return /^[0-9a-f]{64}$/.test(digits) ? digits as Fingerprint : undefined
}
