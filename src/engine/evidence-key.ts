/** The key that this host signs evidence with: found, or made. */

import { join, resolve, sep } from 'node:path'
import { Fault } from '../base/fault.ts'
import { programPlaces, thisSystem } from '../base/program-places.ts'
import { printable } from '../base/text.ts'
import { isForeign } from '../catalog/mod.ts'
import { newSigningKey, parseSigningKey, type Signer } from '../consistency/mod.ts'
import type { EngineContext } from './context.ts'

export interface FoundSigner {
  readonly signer: Signer
  readonly path: string
  /** True if there was none until now. */
  readonly isNew: boolean
  /** False where others are pinned: what this one signs counts as a stranger's. */
  readonly isPinned: boolean
}

/**
 * This host's key; made where there is none, as a backup must not fail for the want of one: who
 * verifies with a pin sees the new signer at once. `location` is that of the repository, in which
 * no private key may lie. Faults: `evidence-key-invalid`, `io-error`.
 */
export async function findSigner(context: EngineContext, location: string): Promise<FoundSigner> {
  const file = context.registry.openKeyFile(keyPath(context))
  const { path } = file
  const repository = resolve(context.workingDir, location)
  if (path.startsWith(`${repository}${sep}`)) {
    throw new Fault('evidence-key-invalid',
      `the signing key ${printable(path)} would lie inside the repository`, {
        advice: 'Whoever can change the repository could sign: set evidence.key elsewhere.' })
  }
  const known = await file.read()
  const isNew = known === undefined && await file.create(newSigningKey(context.random))
  const pem = known ?? await file.read()
  if (pem !== undefined) {
    const signer = parseSigningKey(pem, `the signing key ${printable(path)}`)
    const isPinned = !isForeign(signer.publicKey.fingerprint, context.config.evidence.pins)
    return { path, isNew, signer, isPinned }
  }
  throw new Fault('io-error', `the signing key ${printable(path)} is gone again`)
}

function keyPath({ config, environment, workingDir }: EngineContext): string {
  if (config.evidence.key !== undefined) return config.evidence.key
  return join(programPlaces(thisSystem(environment), workingDir).keys, 'evidence.key')
}
