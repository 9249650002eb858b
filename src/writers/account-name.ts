/** The name of an account of this system (passwd(5)). */

import { Fault } from '../base/fault.ts'
import { readSmallFile } from './small-file.ts'

const MAX_PASSWD_BYTES = 4 * 1024 * 1024

/** Fault: `writer-failed` if it is not listed there. */
export async function accountName(uid: number, passwdFile: string): Promise<string> {
  const text = await readSmallFile(passwdFile, MAX_PASSWD_BYTES)
  for (const line of text.split('\n')) {
    const [name = '', , id] = line.split(':')
    if (name !== '' && id === String(uid)) return name
  }
  throw new Fault('writer-failed', `the user ${uid} is not in ${passwdFile}`, {
    advice: 'Name the account to connect as in the configuration of the writer.' })
}
