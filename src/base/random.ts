/** Randomness and ids, passed in. */

import { randomBytes } from 'node:crypto'

/** Returns `length` fresh random bytes that belong to the caller. */
export type RandomBytes = (length: number) => Uint8Array

export const systemRandom: RandomBytes = (length) => new Uint8Array(randomBytes(length))

/** A random UUID, version 4 (RFC 9562 §5.4), lowercase. */
export function uuid(random: RandomBytes): string {
  const bytes = random(16)
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80
  const hex = Buffer.from(bytes).toString('hex')
  return [
    hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20),
  ].join('-')
}

/** A deterministic stream for tests and simulation (splitmix32). */
export function seededRandom(seed: number): RandomBytes {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x9e3779b9) >>> 0
    let z = state
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad)
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97)
    return (z ^ (z >>> 15)) >>> 0
  }
  return (length) => {
    const bytes = new Uint8Array(length)
    for (let at = 0; at < length; at += 4) {
      const word = next()
      for (let i = 0; i < 4 && at + i < length; i++) bytes[at + i] = word >>> (8 * i)
    }
    return bytes
  }
}
