/** What names a vCenter or an ESXi host, and who logs in there. */

import { open } from 'node:fs/promises'
import { Fault } from '../../base/fault.ts'
import { Secret } from '../../base/secret.ts'
import { printable } from '../../base/text.ts'
import { parseCertificateFingerprint, type CertificateFingerprint } from './vim/https.ts'

export interface VsphereOptions {
  /** `https://HOST[:PORT]/sdk` */
  readonly url: string
  readonly user: string
  /** A file of this host that holds the password alone. */
  readonly passwordFile: string
  /** The one certificate that is believed; without it, those of authorities this host trusts. */
  readonly fingerprint?: CertificateFingerprint
  /** Where it is kept since when changes are known; default `programPlaces`. */
  readonly stateDir?: string
  /** Where machines are restored to; may be left out where there is only one. */
  readonly datastore?: string
  /** The cluster or host that machines are restored to, as above. */
  readonly cluster?: string
  /** The folder of VMware's library: disks are then read by it, and not from their datastore. */
  readonly vddk?: string
}

const KEYS: readonly string[] = [
  'user', 'password-file', 'fingerprint', 'state', 'datastore', 'cluster', 'vddk']

/** A password is a line; more is another file. */
const MAX_PASSWORD_BYTES = 4096

/**
 * The URL as it is used: `https://HOST[:PORT]/sdk`, with `/sdk` where no path is given. Throws an
 * Error that says what is wrong with it.
 */
export function checkSdkUrl(text: string): string {
  const url = URL.parse(text)
  if (url === null) throw new Error('is no URL, as https://vc.example/sdk is')
  if (url.protocol !== 'https:') throw new Error('must begin with https://')
  if (url.username !== '' || url.password !== '') {
    throw new Error('may not hold a user: name it beside, and its password in a file')
  }
  if (url.search !== '' || url.hash !== '') throw new Error('may have no ? and no #')
  if (url.pathname === '/') url.pathname = '/sdk'
  return url.href
}

/**
 * Parses what follows `vsphere:`: `URL,user=NAME,password-file=PATH[,fingerprint=HEX][,state=DIR]
 * [,datastore=NAME][,cluster=NAME][,vddk=DIR]`. A comma inside a value is written twice.
 * Faults: `usage`.
 */
export function parseVsphereTarget(text: string): VsphereOptions {
  const [address = '', ...parts] = text.replaceAll(',,', '\u0000').split(',')
    .map((part) => part.replaceAll('\u0000', ','))
  const found = new Map<string, string>()
  for (const part of parts) {
    const [key = '', ...rest] = part.split('=')
    if (!KEYS.includes(key) || rest.join('=') === '') {
      throw usage(`"${printable(key, 64)}" is not understood`)
    }
    if (found.has(key)) throw usage(`${key}= is given twice`)
    found.set(key, rest.join('='))
  }
  const user = found.get('user')
  const passwordFile = found.get('password-file')
  if (user === undefined) throw usage('user= is missing')
  if (passwordFile === undefined) throw usage('password-file= is missing')
  const [stateDir, datastore, cluster, vddk] =
    [found.get('state'), found.get('datastore'), found.get('cluster'), found.get('vddk')]
  return {
    url: urlOf(address), user, passwordFile, ...pinOf(found.get('fingerprint')),
    ...stateDir === undefined ? {} : { stateDir },
    ...datastore === undefined ? {} : { datastore },
    ...cluster === undefined ? {} : { cluster },
    ...vddk === undefined ? {} : { vddk },
  }
}

function urlOf(address: string): string {
  try {
    return checkSdkUrl(address)
  } catch (error) {
    throw usage(`its URL ${error instanceof Error ? error.message : ''}`)
  }
}

function pinOf(text: string | undefined): { readonly fingerprint?: CertificateFingerprint } {
  if (text === undefined) return {}
  const fingerprint = parseCertificateFingerprint(text)
  if (fingerprint !== undefined) return { fingerprint }
  throw usage('fingerprint= has not the 64 digits of a SHA-256 fingerprint')
}

function usage(what: string): Fault {
  return new Fault('usage', `vSphere cannot be found: ${what}`, {
    advice: 'Write vsphere:https://HOST/sdk,user=NAME,password-file=PATH[,fingerprint=HEX].' })
}

/** The password in a file, white space round it taken off. Faults: `io-error`, `usage`. */
export async function readPassword(path: string): Promise<Secret> {
  const bytes = new Uint8Array(MAX_PASSWORD_BYTES + 1)
  let length: number
  try {
    await using file = await open(path, 'r')
    length = (await file.read(bytes, 0, bytes.length, 0)).bytesRead
  } catch (cause) {
    throw new Fault('io-error', `the password file ${path} cannot be read`, { cause })
  }
  if (length > MAX_PASSWORD_BYTES) {
    throw new Fault('io-error', `${path} is too long to be a password file`)
  }
  const password = Buffer.from(bytes.subarray(0, length)).toString('utf8').trim()
  if (password !== '') return new Secret(password)
  throw new Fault('usage', `the password file ${path} is empty`)
}
