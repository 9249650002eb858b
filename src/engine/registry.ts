/** Every implementation there is, by name. Tests hand in a registry of their own. */

import { Fault } from '../base/fault.ts'
import { printable } from '../base/text.ts'
import { unreachable } from '../base/unreachable.ts'
import type { InsideMachine } from '../backup/mod.ts'
import type { Platform } from '../catalog/mod.ts'
import type { ApplicationHost, ApplicationHostMissing } from '../consistency/mod.ts'
import {
  openHostPlatform, openHypervPlatform, openLibvirtPlatform, openQemuPlatform,
  openVspherePlatform, parseHypervTarget, parseLibvirtTarget, parseQemuTarget, parseVsphereTarget,
  type HostOptions, type HypervOptions, type LibvirtOptions, type ProviderContext,
  type QemuOptions, type VsphereOptions,
} from '../providers/mod.ts'
import { openLocalStorage, type Storage } from '../storage/mod.ts'
import { windowsData, type WindowsDataOptions } from '../writers/mod.ts'
import { openKeyFile, type KeyFile } from './key-file.ts'
import { openApplications } from './open-applications.ts'

export interface Registry {
  /** Opens a platform that was named; dispose it. Faults: `platform-*`, `unsupported`. */
  openPlatform(
    target: PlatformTarget, context: ProviderContext, signal: AbortSignal): Promise<Platform>
  /**
   * The way to the machine's applications, by the port of its agent or else by what is inside;
   * dispose a host. No way is no fault.
   */
  openApplications(
    port: string | undefined, inside: InsideMachine | undefined, context: ProviderContext,
    signal: AbortSignal,
  ): Promise<ApplicationHost | ApplicationHostMissing>
  /** The store at a location; touches nothing yet. Faults: `unsupported`, `usage`. */
  openStorage(location: string): Storage
  /** The file that holds this host's signing key; touches nothing yet. */
  openKeyFile(path: string): KeyFile
}

/** What `--on` or the configuration says of a platform. */
export type PlatformTarget =
  | { readonly type: 'qemu'; readonly options: QemuOptions }
  | { readonly type: 'libvirt'; readonly options: LibvirtOptions }
  | { readonly type: 'vsphere'; readonly options: VsphereOptions }
  | { readonly type: 'hyperv'; readonly options: HypervOptions }
  | { readonly type: 'host'; readonly options: HostOptions & {
      /** How far its volumes are looked through for data without a writer. */
      readonly files?: Omit<WindowsDataOptions, 'clock'> } }

export const systemRegistry: Registry = {
  openPlatform: async (target, context, signal) => {
    switch (target.type) {
      case 'qemu': return openQemuPlatform(target.options, context, signal)
      case 'libvirt': return openLibvirtPlatform(target.options, context, signal)
      case 'vsphere': return openVspherePlatform(target.options, context, signal)
      case 'hyperv': return openHypervPlatform(target.options, context)
      case 'host': {
        const { files, ...options } = target.options
        return openHostPlatform(
          options, windowsData({ clock: context.clock, ...files }), context)
      }
      default: return unreachable(target)
    }
  },
  openApplications,
  openStorage: (location) => openLocalStorage(localPath(location)),
  openKeyFile,
}

/**
 * Parses `--on`, `TYPE:…`: of the types there are, `qemu:qmp=PATH,agent=PATH[,channel=PATH]…`,
 * `libvirt:URI[,scratch=DIR][,sockets=DIR]`, `hyperv:[powershell=PATH][,state=DIR]`, `host:` and
 * `vsphere:URL,user=NAME,password-file=PATH[,fingerprint=HEX]`. A comma inside a value is written
 * twice. Fault: `usage`.
 */
export function parsePlatform(text: string): PlatformTarget {
  const [type = '', ...rest] = text.split(':')
  if (type === 'qemu' && rest.length > 0) {
    return { type, options: parseQemuTarget(rest.join(':')) }
  }
  if (type === 'libvirt' && rest.length > 0) {
    return { type, options: parseLibvirtTarget(rest.join(':')) }
  }
  if (type === 'vsphere' && rest.length > 0) {
    return { type, options: parseVsphereTarget(rest.join(':')) }
  }
  if (type === 'hyperv' && rest.length > 0) {
    return { type, options: parseHypervTarget(rest.join(':')) }
  }
  if (type === 'host' && rest.length > 0) {
    if (rest.join(':') === '') return { type, options: {} }
    throw new Fault('usage', 'host: has nothing behind it: it is the Windows that this runs on')
  }
  throw new Fault('usage', `"${printable(text, 100)}" names no platform`, {
    advice: 'Write --on libvirt:qemu:///system or --on qemu:qmp=PATH,agent=PATH.' })
}

/** Prefixes of restic's locations of other stores. */
const PLANNED_STORES: ReadonlySet<string> = new Set(['s3', 'sftp', 'rest', 'rclone'])
const OTHER_STORES: ReadonlySet<string> = new Set(['b2', 'azure', 'gs', 'swift'])

/** The path of a local repository, `local:` taken off. Faults: `unsupported`, `usage`. */
export function localPath(location: string): string {
  const [prefix = '', ...rest] = location.split(':')
  if (prefix === 'local' && rest.length > 0) return notEmpty(rest.join(':'))
  if (rest.length > 0 && PLANNED_STORES.has(prefix)) {
    throw new Fault('unsupported', `repositories at ${prefix}: are planned and do not work yet`, {
      advice: 'Use a local folder or a mounted share; rclone or restic can copy it elsewhere.' })
  }
  if (rest.length > 0 && OTHER_STORES.has(prefix)) {
    throw new Fault('unsupported', `repositories at ${prefix}: are not supported`, {
      advice: 'Use a local folder or a mounted share; rclone or restic can copy it elsewhere.' })
  }
  return notEmpty(location)
}

function notEmpty(path: string): string {
  if (path !== '') return path
  throw new Fault('usage', 'the location of the repository is empty')
}
