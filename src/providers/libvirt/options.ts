/** What names a libvirt, and what its provider may use of this host. */

import { Fault } from '../../base/fault.ts'

/** What `--on libvirt:…` says. */
export interface LibvirtTarget {
  /** As libvirt writes them: `qemu:///system`, `qemu+ssh://HOST/system`. */
  readonly uri: string
  /** Where scratch files are made; default the folder of each disk's own image. */
  readonly scratchDir?: string
  /** Where QEMU makes the socket that the captured disks are read from. */
  readonly socketDir?: string
}

export interface LibvirtOptions extends LibvirtTarget {
  /** Hold records, 0700; default `/run/stillpoint`, `/run/user/UID/stillpoint`. */
  readonly runDir?: string
  /** Free scratch space to begin with; default a share of the disks' size. */
  readonly leastScratchBytes?: number
  /** Of a Windows: its applications may truncate their logs after a freeze. Default no. */
  readonly acceptLogTruncation?: boolean
}

const MAX_URI = 1024
/**
 * QEMU machines alone, over transports that need no more than virsh: `ext` would run any program.
 * No white space nor control characters, so that no part of it becomes a second command.
 */
const URI = /^qemu(?:\+(unix|ssh))?:\/\/(?:[\w.@:[\]-]*)\/(?:system|session)(?:\?[!-~]*)?$/

/** True where the machines run on another host: then nothing of theirs is a file here. */
export function isRemote(uri: string): boolean {
  const [, host] = /^qemu(?:\+\w+)?:\/\/([^/]*)\//.exec(uri) ?? []
  return host !== undefined && host !== ''
}

/** True for a libvirt of the user's own, whose machines run as the user. */
export function isSession(uri: string): boolean {
  return /\/session(?:$|\?)/.test(uri)
}

const KEYS: ReadonlyMap<string, 'scratchDir' | 'socketDir'> = new Map([
  ['scratch', 'scratchDir'], ['sockets', 'socketDir']])

/**
 * Parses what follows `libvirt:`: `URI[,scratch=DIR][,sockets=DIR]`. A comma inside a value is
 * written twice. Faults: `usage`.
 */
export function parseLibvirtTarget(text: string): LibvirtTarget {
  const [first = '', ...rest] = text.replaceAll(',,', '\u0000').split(',')
    .map((part) => part.replaceAll('\u0000', ','))
  const found: { scratchDir?: string; socketDir?: string } = {}
  for (const part of rest) {
    const [key = '', ...value] = part.split('=')
    const name = KEYS.get(key)
    if (name === undefined || value.join('=') === '') throw usage(`"${key}" is not understood`)
    if (found[name] !== undefined) throw usage(`${key}= is given twice`)
    found[name] = value.join('=')
  }
  return { uri: checkUri(first), ...found }
}

/** The URI itself, if it is one that is supported. Faults: `usage`. */
export function checkUri(uri: string): string {
  if (uri.length <= MAX_URI && URI.test(uri)) return uri
  throw usage('its URI is none of qemu:///system, qemu:///session, qemu+ssh://[USER@]HOST/system')
}

function usage(what: string): Fault {
  return new Fault('usage', `libvirt cannot be found: ${what}`, {
    advice: 'Write libvirt:qemu:///system[,scratch=DIR][,sockets=DIR].' })
}
