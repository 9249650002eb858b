/** Keys for tests: the same number gives the same key. */

import { seededRandom } from '../../base/random.ts'
import { signEnvelope } from '../signed/envelope.ts'
import { newSigningKey, parseSigningKey, type Signer } from '../signed/signing-key.ts'

export function testSigner(seed = 1): Signer {
  return parseSigningKey(newSigningKey(seededRandom(seed)), 'the test')
}

/** An envelope round any JSON: signed rightly, whatever it says. */
export function signAnything(value: unknown, signer: Signer = testSigner()): string {
  return signEnvelope(new TextEncoder().encode(JSON.stringify(value)), signer)
}
