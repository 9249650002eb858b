/** Where the program keeps what is its own on a host. Whoever needs such a place asks here. */

import { homedir } from 'node:os'
import { posix, resolve, win32 } from 'node:path'

/** The host, as far as these places depend on it. */
export interface HostSystem {
  readonly platform: NodeJS.Platform
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly home: string
  /** Undefined on Windows. */
  readonly userId: number | undefined
}

/** Folders; none of them need be there. */
export interface ProgramPlaces {
  /** What holds for all of the host: `stillpoint.yaml`. */
  readonly config: string
  /** What this host signs with. */
  readonly keys: string
  /** What has to outlive a restart. */
  readonly state: string
}

/** This process's own, with the environment that its entry point handed down. */
export function thisSystem(environment: HostSystem['environment'] = process.env): HostSystem {
  return {
    platform: process.platform, environment, home: homedir(), userId: process.getuid?.() }
}

/**
 * On Linux as FHS 3.0 and the XDG Base Directory Specification have it; keys are the user's own.
 * On Windows all is one folder below ProgramData, which must be closed to others: they may make
 * folders there. Relative paths of the environment begin at `workingDir`.
 */
export function programPlaces(
  { platform, environment, home, userId }: HostSystem, workingDir = home): ProgramPlaces {
  if (platform === 'win32') {
    // Shells of other systems hand names on in capitals.
    const named = Object.entries(environment)
      .find(([name]) => name.toLowerCase() === 'programdata')?.[1] ?? ''
    const own = win32.join(/^[a-z]:\\/i.test(named) ? named : 'C:\\ProgramData', 'Stillpoint')
    return { config: own, keys: own, state: win32.join(own, 'state') }
  }
  const configured = environment['XDG_CONFIG_HOME'] ?? ''
  // A service may have no HOME; the account has one.
  const own = environment['HOME'] ?? ''
  const folder = configured !== '' ? resolve(workingDir, configured)
    : posix.join(own === '' ? home : resolve(workingDir, own), '.config')
  return {
    config: '/etc/stillpoint',
    keys: posix.join(folder, 'stillpoint'),
    state: userId === 0 ? '/var/lib/stillpoint' : posix.join(home, '.local/state/stillpoint'),
  }
}
