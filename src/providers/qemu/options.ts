/** What names one QEMU machine, and what its provider may use of this host. */

import { Fault } from '../../base/fault.ts'

/** What `--on qemu:…` says. Paths are sockets of this host. */
export interface QemuTarget {
  /** The QMP socket that is free for us: QEMU serves one client on each at a time. */
  readonly qmp: string
  /** A second QMP socket for the guardian alone; without one it waits for ours to be closed. */
  readonly guardianQmp?: string
  /** The host's end of the channel `org.qemu.guest_agent.0`. */
  readonly agent?: string
  /** The host's end of the port `org.stillpoint.agent.0`, to the agent of Stillpoint. */
  readonly channel?: string
  /** What to call the machine; default QEMU's own `-name`, else its UUID, else `qemu`. */
  readonly name?: string
  /** Where scratch overlays are made; default the folder of each disk's own image. */
  readonly scratchDir?: string
}

export interface QemuOptions extends QemuTarget {
  /** Sockets and hold records, 0700; default `/run/stillpoint`, `/run/user/UID/stillpoint`. */
  readonly runDir?: string
  /** Free scratch space to begin with; default a share of the disks' size. */
  readonly leastScratchBytes?: number
  /** Of a Windows: its applications may truncate their logs after a freeze. Default no. */
  readonly acceptLogTruncation?: boolean
}

/** Longest path a unix socket address holds on Linux (unix(7)), without the final zero. */
const MAX_SOCKET_PATH = 107

const KEYS: ReadonlyMap<string, keyof QemuTarget> = new Map([
  ['qmp', 'qmp'], ['guardian-qmp', 'guardianQmp'], ['agent', 'agent'],
  ['channel', 'channel'], ['name', 'name'], ['scratch', 'scratchDir'],
])

const SOCKETS: ReadonlySet<keyof QemuTarget> = new Set([
  'qmp', 'guardianQmp', 'agent', 'channel'])

/**
 * Parses what follows `qemu:`:
 * `qmp=PATH[,agent=PATH][,channel=PATH][,guardian-qmp=PATH][,name=NAME][,scratch=DIR]`.
 * A comma inside a value is written twice, as on QEMU's own command line. Faults: `usage`.
 */
export function parseQemuTarget(text: string): QemuTarget {
  const found: { -readonly [Key in keyof QemuTarget]?: string } = {}
  for (const part of text.replaceAll(',,', '\u0000').split(',')) {
    const [key = '', ...rest] = part.split('=')
    const value = rest.join('=').replaceAll('\u0000', ',')
    const name = KEYS.get(key)
    if (name === undefined || value === '') {
      throw usage(`"${key}" is not understood`)
    }
    if (found[name] !== undefined) throw usage(`${key}= is given twice`)
    if (SOCKETS.has(name) && Buffer.byteLength(value) > MAX_SOCKET_PATH) {
      throw usage(`the path of ${key}= is longer than a socket's path may be`)
    }
    found[name] = value
  }
  if (found.qmp === undefined) throw usage('qmp= is missing')
  return { ...found, qmp: found.qmp }
}

function usage(what: string): Fault {
  return new Fault('usage', `the QEMU machine cannot be found: ${what}`, {
    advice: 'Write qemu:qmp=PATH,agent=PATH[,channel=PATH][,guardian-qmp=PATH][,name=NAME]' +
      '[,scratch=DIR].',
  })
}
