/**
 * The chunker's polynomial over GF(2), bits as coefficients (restic design, "Config"): of degree
 * 53 and irreducible. It is the secret that keeps chunk boundaries from identifying files.
 */

import type { RandomBytes } from '../../base/random.ts'

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
 * True for an irreducible polynomial of degree 53. As 53 is prime, x^(2^53) - x is the product of
 * all irreducible polynomials of degree 1 and 53; what divides it and has degree 53 is one of them.
 */
export function isIrreducible(polynomial: bigint): boolean {
  if (polynomial >> DEGREE !== 1n) return false
  let power = 2n
  for (let i = 0n; i < DEGREE; i++) power = squareModulo(power, polynomial)
  return power === 2n
}

function squareModulo(value: bigint, modulus: bigint): bigint {
  // Over GF(2) the square has the same bits, with a zero between any two.
  let square = BigInt(`0b${value.toString(2).split('').join('0')}`)
  for (let bit = 2n * DEGREE - 2n; bit >= DEGREE; bit--) {
    if (((square >> bit) & 1n) === 1n) square ^= modulus << (bit - DEGREE)
  }
  return square
}
