/** Keys for tests: the same number gives the same key. */

import { seededRandom } from '../../base/random.ts'
import { newSigningKey, parseSigningKey, type Signer } from '../signed/signing-key.ts'

export function testSigner(seed = 1): Signer {
  return parseSigningKey(newSigningKey(seededRandom(seed)), 'the test')
}
