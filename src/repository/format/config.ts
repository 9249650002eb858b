/** The config file: format version, id, chunker polynomial (restic design, "Config"). */

import { z } from 'zod'
import { Fault } from '../../base/fault.ts'
import type { RandomBytes } from '../../base/random.ts'
import { goObject, goString, parseGoJson } from './go-json.ts'
import { isIrreducible, randomPolynomial } from './polynomial.ts'

export interface RepositoryConfig {
  /** 64 hexadecimal digits, random. */
  readonly id: string
  /** See polynomial.ts. */
  readonly chunkerPolynomial: bigint
}

export const MAX_CONFIG_BYTES = 1024 * 1024
const VERSION = 2

export function newConfig(random: RandomBytes): RepositoryConfig {
  return {
    id: Buffer.from(random(32)).toString('hex'),
    chunkerPolynomial: randomPolynomial(random),
  }
}

/** The plaintext of the file: it is sealed, but never compressed. */
export function encodeConfig(config: RepositoryConfig): Uint8Array<ArrayBuffer> {
  const json = goObject([
    ['version', String(VERSION)],
    ['id', goString(config.id)],
    ['chunker_polynomial', goString(config.chunkerPolynomial.toString(16))],
  ])
  return new Uint8Array(Buffer.from(json, 'latin1'))
}

const SHAPE = z.object({
  version: z.int(),
  id: z.string().regex(/^[0-9a-f]{64}$/),
  chunker_polynomial: z.string().regex(/^[0-9a-f]{1,16}$/),
})

/**
 * Reads the plaintext; unknown fields, as other programs add them, are left out.
 * Faults: `repository-unsupported` for another version than 2, `repository-damaged`.
 */
export function parseConfig(json: Uint8Array): RepositoryConfig {
  const shape = SHAPE.safeParse(parseGoJson(json, 'config', MAX_CONFIG_BYTES))
  if (!shape.success) {
    throw new Fault('repository-damaged', 'config is not a repository configuration', {
      cause: shape.error })
  }
  const { version, id } = shape.data
  if (version !== VERSION) {
    throw new Fault('repository-unsupported', `the repository has format version ${version}`, {
      advice: version === 1
        ? 'Upgrade it with "restic migrate upgrade_repo_v2", or use another repository.'
        : 'Use a repository of format version 2.' })
  }
  const chunkerPolynomial = BigInt(`0x${shape.data.chunker_polynomial}`)
  if (!isIrreducible(chunkerPolynomial)) {
    throw new Fault('repository-damaged', 'config names a polynomial that is not irreducible')
  }
  return { id, chunkerPolynomial }
}
