/** Files that a command makes because an operator named them. */

import { writeFile } from 'node:fs/promises'
import { errnoOf } from '../base/errno.ts'
import { Fault } from '../base/fault.ts'
import { printable } from '../base/text.ts'

/** Writes a file that is not there yet. Faults: `already-exists`, `io-error`. */
export async function writeNewFile(path: string, text: string): Promise<void> {
  try {
    await writeFile(path, text, { flag: 'wx' })
  } catch (cause) {
    if (errnoOf(cause) === 'EEXIST') {
      throw new Fault('already-exists', `${printable(path)} is there already`, {
        cause, advice: 'Name another file, or remove that one.' })
    }
    throw new Fault('io-error', `${printable(path)} could not be written`, { cause })
  }
}
