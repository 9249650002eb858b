/** Accounts of this system (passwd(5)). */

import { Fault } from '../base/fault.ts'
import { printable } from '../base/text.ts'
import { readSmallFile } from './small-file.ts'

const MAX_PASSWD_BYTES = 4 * 1024 * 1024

/** The name of `uid`. Fault: `writer-failed` if it is not listed there. */
export async function accountName(uid: number, passwdFile: string): Promise<string> {
  const found = (await accounts(passwdFile)).find((it) => it.id === String(uid))
  if (found !== undefined) return found.name
  throw new Fault('writer-failed', `the user ${uid} is not in ${passwdFile}`, {
    advice: 'Name the account to connect as in the configuration of the agent.' })
}

/** The user id of `name`. Fault: `config-invalid` if it is not listed there. */
export async function accountId(name: string, passwdFile: string): Promise<number> {
  const id = (await accounts(passwdFile)).find((it) => it.name === name)?.id ?? ''
  if (/^\d{1,10}$/.test(id)) return Number(id)
  const shown = printable(name, 100)
  throw new Fault('config-invalid', `there is no account ${shown} in ${passwdFile}`, {
    advice: `Make it: useradd --system --shell /usr/sbin/nologin ${shown}` })
}

async function accounts(passwdFile: string): Promise<readonly { name: string; id: string }[]> {
  const text = await readSmallFile(passwdFile, MAX_PASSWD_BYTES)
  return text.split('\n').flatMap((line) => {
    const [name = '', , id = ''] = line.split(':')
    return name === '' ? [] : [{ name, id }]
  })
}
