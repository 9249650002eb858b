/** Says once that this host has a new key, and each time that its key is not pinned. */

import { printable } from '../base/text.ts'
import type { FoundSigner } from '../engine/mod.ts'
import type { Output } from './output.ts'

/** A listener for a command that signs. With `--json` it is a line of the log. */
export function signerNotice(output: Output): (found: FoundSigner) => void {
  return ({ isNew, isPinned, path, signer: { publicKey: { fingerprint } } }) => {
    const say = (event: string, words: string): void => {
      if (output.options.json) output.log.warn(event, { path, fingerprint })
      else output.notice(words)
    }
    if (isNew) {
      say('evidence.key-made', `This host had no key to sign evidence with; it has one now, ${
        printable(path)}.\nPin its fingerprint where points are verified: ${fingerprint}`)
    }
    if (!isPinned) {
      say('evidence.key-not-pinned', `warning: this host signs with the key ${fingerprint}, and ` +
        'others are pinned (evidence.fingerprint): what it signs will count as a stranger\'s')
    }
  }
}
