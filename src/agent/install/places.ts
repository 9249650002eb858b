/** Where the agent lives in a system. */

import { realpath } from 'node:fs/promises'
import { join } from 'node:path'
import { Fault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import { AGENT_CONFIG } from '../agent-config.ts'

export const SERVICE = 'stillpoint-agent.service'
/** Read by systemd alone; what the operator writes beside it (`….d/*.conf`) is not ours. */
const UNIT = `/etc/systemd/system/${SERVICE}`
/** Makes systemd start the service with the machine, as `systemctl enable` would. */
const WANTED = `/etc/systemd/system/multi-user.target.wants/${SERVICE}`
export const EXECUTABLE = '/usr/local/bin/stillpoint-agent'

/** Paths under one root: `/`, or the root folder of an image that is being made. */
export interface Places {
  readonly root: string
  readonly executable: string
  readonly unit: string
  readonly wanted: string
  readonly config: string
}

/** Faults: `not-found` if there is no such root. */
export async function placesIn(root: string): Promise<Places> {
  const real = await realpath(root).catch((cause: unknown) => {
    throw new Fault('not-found', `there is no folder ${printable(root, 200)}`, { cause })
  })
  const at = (path: string): string => join(real, path)
  return {
    root: real, executable: at(EXECUTABLE), unit: at(UNIT), wanted: at(WANTED),
    config: at(AGENT_CONFIG),
  }
}

/** `runs`: it started this system; `there`: it would start it; `none`: something else does. */
export type Systemd = 'runs' | 'there' | 'none'

/** Sources: sd_booted(3) for `runs`, file-hierarchy(7) for where it is installed. */
export async function systemdIn(root: string): Promise<Systemd> {
  const isThere = (path: string): Promise<boolean> =>
    realpath(join(root, path)).then(() => true, () => false)
  if (root === '/' && await isThere('run/systemd/system')) return 'runs'
  for (const path of ['usr/lib/systemd/systemd', 'lib/systemd/systemd']) {
    if (await isThere(path)) return 'there'
  }
  return 'none'
}
