/**
 * The chunker's polynomial over GF(2), bits as coefficients (restic design, "Config"): of degree
 * 53 and irreducible. It is the secret that keeps chunk boundaries from identifying files.
 */

import type { RandomBytes } from '../base/random.ts'

const DEGREE = 53n

/** A random irreducible polynomial; about one candidate in 13 is one. */
export function randomPolynomial(random: RandomBytes): bigint {
  for (;;) {
    const bits = BigInt(`0x${Buffer.from(random(8)).toString('hex')}`)
    const candidate = BigInt.asUintN(53, bits) | (1n << DEGREE) | 1n
    if (isIrreducible(candidate)) return candidate
  }
}

/**
 * True for an irreducible polynomial of degree 53. As 53 is prime, Rabin's test comes down to: no
 * root in GF(2), and x to the power 2^53 is x again.
 */
export function isIrreducible(polynomial: bigint): boolean {
  if (polynomial >> DEGREE !== 1n) return false
  if ((polynomial & 1n) === 0n || countOnes(polynomial) % 2 === 0) return false
  let power = 2n
  for (let i = 0n; i < DEGREE; i++) power = squareModulo(power, polynomial)
  return power === 2n
}

function countOnes(value: bigint): number {
  return value.toString(2).replaceAll('0', '').length
}

function squareModulo(value: bigint, modulus: bigint): bigint {
  let square = 0n
  for (let bit = 0n; bit < DEGREE; bit++) {
    if (((value >> bit) & 1n) === 1n) square |= 1n << (2n * bit)
  }
  for (let bit = 2n * DEGREE - 2n; bit >= DEGREE; bit--) {
    if (((square >> bit) & 1n) === 1n) square ^= modulus << (bit - DEGREE)
  }
  return square
}
