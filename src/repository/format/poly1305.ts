/** Poly1305 (RFC 8439 §2.5), from the addon of sodium-native. */

import assert from 'node:assert/strict'
import { createRequire } from 'node:module'

interface Addon {
  crypto_onetimeauth(out: Uint8Array, input: Uint8Array, key: Uint8Array): number
  crypto_onetimeauth_verify(tag: Uint8Array, input: Uint8Array, key: Uint8Array): boolean
}

/**
 * The addon itself: the package's own code, which looks for it in a dozen places and wraps all of
 * libsodium, takes 12 ms of each start of the program and of each thread.
 */
const addon = createRequire(import.meta.url)(
  `sodium-native/prebuilds/${process.platform}-${process.arch}/sodium-native.node`) as Addon

const TAG_BYTES = 16
const KEY_BYTES = 32

/** Writes the 16-byte tag of `input` under the 32-byte one-time `key` to `tag`. */
export function authenticate(tag: Uint8Array, input: Uint8Array, key: Uint8Array): void {
  checkLengths(tag, key)
  addon.crypto_onetimeauth(tag, input, key)
}

/** Compares the 16-byte tag in constant time. */
export function isAuthentic(tag: Uint8Array, input: Uint8Array, key: Uint8Array): boolean {
  checkLengths(tag, key)
  return addon.crypto_onetimeauth_verify(tag, input, key)
}

/** The addon trusts its caller. */
function checkLengths(tag: Uint8Array, key: Uint8Array): void {
  assert(tag.length === TAG_BYTES && key.length === KEY_BYTES)
}
