/** Says that this host has a new key, once, when it is made. */

import { printable } from '../base/text.ts'
import type { FoundSigner } from '../engine/mod.ts'
import type { Output } from './output.ts'

/** A listener for a command that signs. */
export function signerNotice(output: Output): (found: FoundSigner) => void {
  return ({ isNew, path, signer: { publicKey: { fingerprint } } }) => {
    if (!isNew) return
    output.notice(`This host had no key to sign evidence with; it has one now, ${
      printable(path)}.\nPin its fingerprint where points are verified: ${fingerprint}`)
  }
}
