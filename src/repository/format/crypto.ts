/**
 * Sealing: AES-256-CTR, authenticated by Poly1305-AES over the ciphertext (restic design, "Keys,
 * Encryption and MAC"). A sealed text is `IV (16) || ciphertext || MAC (16)`.
 *
 * The MAC covers neither the IV nor what the text is for, so a sealed file may be swapped with
 * another of its kind: callers always compare the SHA-256 with the name as well.
 */

import {
  createCipheriv, createDecipheriv, createSecretKey, type Cipheriv, type KeyObject,
} from 'node:crypto'
import assert from 'node:assert/strict'
import { Fault } from '../../base/fault.ts'
import type { RandomBytes } from '../../base/random.ts'
import { release } from '../release.ts'
import { authenticate, isAuthentic } from './poly1305.ts'

const IV_BYTES = 16
const MAC_BYTES = 16

/** How much longer a sealed text is than its plaintext. */
export const SEAL_OVERHEAD_BYTES = IV_BYTES + MAC_BYTES

/** AES-256 key (32), AES-128 key of the MAC (16), Poly1305 r (16), in this order. */
export const KEY_BYTES = 64

/** A key that seals and opens. It never prints; `toBytes` is for handing it to a worker thread. */
export class MasterKey {
  readonly #bytes: Uint8Array<ArrayBuffer>
  /** Node takes five times as long to begin with a key of bytes. */
  readonly #cipherKey: KeyObject
  readonly #nonceCipher: Cipheriv
  /** `r || s`; only `s` changes from call to call. */
  readonly #oneTimeKey = new Uint8Array(32)

  /** Copies `bytes`: `KEY_BYTES` of them, in the order said there. */
  constructor(bytes: Uint8Array) {
    assert.equal(bytes.length, KEY_BYTES)
    this.#bytes = new Uint8Array(bytes)
    this.#cipherKey = createSecretKey(this.#bytes.subarray(0, 32))
    this.#nonceCipher = createCipheriv('aes-128-ecb', this.#bytes.subarray(32, 48), null)
    this.#nonceCipher.setAutoPadding(false)
    this.#oneTimeKey.set(this.#bytes.subarray(48, 64))
  }

  /** A copy of the key itself; a worker thread makes its own `MasterKey` of it. */
  toBytes(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice()
  }

  /** Seals `plaintext` into a new buffer, `SEAL_OVERHEAD_BYTES` longer. */
  seal(plaintext: Uint8Array, random: RandomBytes): Uint8Array<ArrayBuffer> {
    const sealed = new Uint8Array(plaintext.length + SEAL_OVERHEAD_BYTES)
    this.sealInto(sealed, plaintext, random)
    return sealed
  }

  /** Seals `plaintext` into `target`, which is exactly `SEAL_OVERHEAD_BYTES` longer. */
  sealInto(target: Uint8Array, plaintext: Uint8Array, random: RandomBytes): void {
    assert.equal(target.length, plaintext.length + SEAL_OVERHEAD_BYTES)
    const iv = random(IV_BYTES)
    // Readers refuse an IV of zeros; a working source of randomness never returns one.
    assert.ok(iv.length === IV_BYTES && iv.some((byte) => byte !== 0))
    target.set(iv)
    const cipher = createCipheriv('aes-256-ctr', this.#cipherKey, iv)
    const encrypted = cipher.update(plaintext)
    cipher.final()
    target.set(encrypted, IV_BYTES)
    release(encrypted)
    const ciphertext = target.subarray(IV_BYTES, target.length - MAC_BYTES)
    const tag = target.subarray(target.length - MAC_BYTES)
    authenticate(tag, ciphertext, this.#oneTimeKeyOf(iv))
  }

  /** The plaintext, or undefined if the MAC does not fit: another key, or damage. */
  tryOpen(sealed: Uint8Array): Uint8Array<ArrayBuffer> | undefined {
    if (sealed.length < SEAL_OVERHEAD_BYTES) return undefined
    const iv = sealed.subarray(0, IV_BYTES)
    const ciphertext = sealed.subarray(IV_BYTES, sealed.length - MAC_BYTES)
    const tag = sealed.subarray(sealed.length - MAC_BYTES)
    if (!isAuthentic(tag, ciphertext, this.#oneTimeKeyOf(iv))) return undefined
    const decipher = createDecipheriv('aes-256-ctr', this.#cipherKey, iv)
    const plaintext = decipher.update(ciphertext)
    decipher.final()
    return plaintext
  }

  /** The plaintext. Fault: `repository-damaged`, naming `what`. */
  open(sealed: Uint8Array, what: string): Uint8Array<ArrayBuffer> {
    const plaintext = this.tryOpen(sealed)
    if (plaintext !== undefined) return plaintext
    throw new Fault('repository-damaged', `${what} does not authenticate: it was altered`)
  }

  #oneTimeKeyOf(iv: Uint8Array): Uint8Array {
    this.#oneTimeKey.set(this.#nonceCipher.update(iv), 16)
    return this.#oneTimeKey
  }
}
