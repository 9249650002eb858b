/** Which platform runs the machine that an operator named. */

import { resolve } from 'node:path'
import { Fault } from '../base/fault.ts'
import { printable } from '../base/text.ts'
import type { ApplicationsRequest } from '../backup/mod.ts'
import type { Platform } from '../catalog/mod.ts'
import type { VssBackupType } from '../providers/mod.ts'
import type { MachineConfig, PlatformConfig } from './config.ts'
import type { EngineContext } from './context.ts'
import { nearest } from '../base/nearest.ts'
import { withoutUndefined } from './present.ts'
import { parsePlatform, type PlatformTarget } from './registry.ts'

/** Where a machine is and what was said of it. */
export interface MachinePlace {
  /** The platform's key in the configuration; undefined for `--on`. */
  readonly platformName: string | undefined
  readonly target: PlatformTarget
  /** What the machine is called; undefined: what the platform calls its only machine. */
  readonly machineName: string | undefined
  readonly settings: MachineConfig | undefined
}

/** `on` is the text of `--on`, and counts alone where it is given. */
export interface MachineChoice {
  readonly on: string | undefined
  /** `name` or `platform/name`; undefined where there is only one to choose. */
  readonly machine: string | undefined
}

/** Every platform that is named: `--on` alone, else those of the configuration. */
export function platformPlaces(
  on: string | undefined, context: EngineContext): readonly MachinePlace[] {
  const { config } = context
  if (on !== undefined) return [adHoc(on, context)]
  if (config.platforms.size === 0) {
    throw new Fault('usage', 'no platform is named', { advice: whereToName(context) })
  }
  const machineOf = (platform: string): string | undefined =>
    [...config.machines].find(([, machine]) => machine.platform === platform)?.[0]
  return [...config.platforms].map(([key, platform]) =>
    placeOf(context, key, platform, platform.type === 'qemu' ? machineOf(key) : undefined))
}

/**
 * The place of the machine that was chosen. Faults: `usage`, `machine-not-found`.
 */
export function findMachine(choice: MachineChoice, context: EngineContext): MachinePlace {
  const { on, machine } = choice
  if (on !== undefined) return { ...adHoc(on, context), machineName: machine }
  const { machines, platforms } = context.config
  const places = platformPlaces(on, context)
  if (machine === undefined) {
    const [only, ...others] = places
    if (only !== undefined && others.length === 0) return only
    throw new Fault('usage', 'it is not said which machine', {
      advice: `Name one of: ${places.map(nameOf).join(', ')}.` })
  }
  const known = machines.get(machine)
  const [platformKey, machineKey] = known === undefined
    ? splitName(machine) : [known.platform, machine]
  const platform = platforms.get(platformKey ?? '')
  if (platformKey !== undefined && platform !== undefined) {
    return placeOf(context, platformKey, platform, machineKey)
  }
  const names = [...machines.keys(), ...platforms.keys()]
  const near = nearest(machine, names)
  throw new Fault('machine-not-found', `no machine is called ${printable(machine, 100)}`, {
    advice: near === undefined
      ? `The configuration knows: ${names.join(', ')}.` : `Did you mean "${near}"?` })
}

export interface OpenedMachine extends AsyncDisposable {
  readonly platform: Platform
  readonly machine: string
  /** As of the platform; undefined where it knows of no port. */
  agentPort(signal: AbortSignal): Promise<string | undefined>
  /** Opens the way to the machine's applications, once; it is disposed with the machine. */
  readonly openApplications: ApplicationsRequest['openApplications']
}

/**
 * Opens the platform; dispose it. Also says what the machine is called there.
 * Faults: `platform-*`, `machine-not-found`, `usage` where there are several to choose from.
 */
export async function openMachine(
  place: MachinePlace, context: EngineContext, signal: AbortSignal,
): Promise<OpenedMachine> {
  const { clock, random, log } = context
  const platform = await context.registry.openPlatform(place.target, { clock, random, log }, signal)
  await using opened = new AsyncDisposableStack()
  opened.use(platform)
  const machine = place.machineName ?? await onlyMachine(platform, signal)
  const kept = opened.move()
  const agentPort = async (signal: AbortSignal): Promise<string | undefined> =>
    platform.agentPort?.(machine, signal)
  return {
    platform, machine, agentPort,
    openApplications: async (signal, inside) => {
      const applications = await context.registry.openApplications(
        await agentPort(signal), inside, { clock, random, log }, signal)
      return 'missing' in applications ? applications : kept.use(applications)
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  }
}

async function onlyMachine(platform: Platform, signal: AbortSignal): Promise<string> {
  const machines = await platform.machines(signal)
  const [only, ...others] = machines
  if (only !== undefined && others.length === 0) return only.name
  throw new Fault('usage', 'it is not said which machine', {
    advice: `Name one of: ${machines.map(({ name }) => printable(name, 64)).join(', ')}.` })
}

function adHoc(on: string, { workingDir, environment }: EngineContext): MachinePlace {
  return {
    platformName: undefined, machineName: undefined, settings: undefined,
    target: withEnvironment(absoluteTarget(parsePlatform(on), workingDir), environment),
  }
}

function withEnvironment(
  target: PlatformTarget, environment: EngineContext['environment']): PlatformTarget {
  return target.type === 'host' ? { type: 'host', options: { environment } } : target
}

/** The guardian runs in another folder, and so does QEMU. */
function absoluteTarget(target: PlatformTarget, workingDir: string): PlatformTarget {
  const absolute = (path: string | undefined): string | undefined =>
    path === undefined ? undefined : resolve(workingDir, path)
  if (target.type === 'host') return target
  if (target.type === 'libvirt') {
    const { options } = target
    return { type: target.type, options: { ...options, ...withoutUndefined({
      scratchDir: absolute(options.scratchDir), socketDir: absolute(options.socketDir) }) } }
  }
  if (target.type === 'hyperv') {
    const { options } = target
    return { type: target.type, options: {
      ...options, ...withoutUndefined({ stateDir: absolute(options.stateDir) }) } }
  }
  if (target.type === 'vsphere') {
    const { options } = target
    return { type: target.type, options: {
      ...options, passwordFile: resolve(workingDir, options.passwordFile),
      ...withoutUndefined({
        stateDir: absolute(options.stateDir), vddk: absolute(options.vddk) }) } }
  }
  const { options } = target
  const { qmp, guardianQmp, agent, channel, scratchDir } = options
  return { type: target.type, options: {
    ...options, qmp: resolve(workingDir, qmp), ...withoutUndefined({
      guardianQmp: absolute(guardianQmp), agent: absolute(agent),
      channel: absolute(channel), scratchDir: absolute(scratchDir),
    }) } }
}

function placeOf(
  { config, environment }: EngineContext, key: string, platform: PlatformConfig,
  machine: string | undefined,
): MachinePlace {
  const settings = machine === undefined ? undefined : config.machines.get(machine)
  if (platform.type === 'libvirt') {
    const { type, ...options } = platform
    return {
      platformName: key, machineName: machine, settings,
      target: { type, options: {
        uri: options.uri, ...withoutUndefined(options), ...acceptance(settings) } },
    }
  }
  if (platform.type === 'hyperv') {
    const { type, ...options } = platform
    return {
      platformName: key, machineName: machine, settings,
      target: { type, options: { ...withoutUndefined(options), ...acceptance(settings) } },
    }
  }
  if (platform.type === 'host') {
    const { type, ...options } = platform
    return {
      platformName: key, machineName: machine, settings,
      target: { type, options: { ...options, environment } },
    }
  }
  if (platform.type === 'vsphere') {
    const { type, url, user, passwordFile, ...rest } = platform
    return {
      platformName: key, machineName: machine, settings,
      target: { type, options: { url, user, passwordFile, ...withoutUndefined(rest) } },
    }
  }
  // QEMU may have any name or none: what the configuration calls the machine counts.
  const machineName = machine ?? key
  const { type, qmp, ...paths } = platform
  return {
    platformName: key,
    target: { type, options: {
      qmp, name: machineName, ...withoutUndefined(paths),
      ...acceptance(config.machines.get(machineName)) } },
    machineName,
    settings: config.machines.get(machineName),
  }
}

function acceptance(
  settings: MachineConfig | undefined): { readonly acceptLogTruncation?: boolean } {
  return withoutUndefined({ acceptLogTruncation: settings?.acceptLogTruncation })
}

/** What the command line says of a backup of the Windows that this runs on. */
export interface HostWishes {
  /** What its writers are told; undefined: a copy. */
  readonly vssType?: VssBackupType | undefined
  /** Beside what the configuration leaves out. */
  readonly leaveOut?: readonly string[] | undefined
}

/** Fault: `usage` for a machine that is not this Windows. */
export function withHostWishes(
  place: MachinePlace, { vssType, leaveOut }: HostWishes): MachinePlace {
  if (vssType === undefined && leaveOut === undefined) return place
  const { target } = place
  if (target.type === 'host') {
    return { ...place, target: { type: 'host', options: {
      ...target.options, ...withoutUndefined({ vssType }),
      leaveOut: [...target.options.leaveOut ?? [], ...leaveOut ?? []] } } }
  }
  const [option, why] = vssType === undefined
    ? ['--leave-out', 'other platforms store disks whole.']
    : ['--vss-type', 'other platforms ask for a copy where they can.']
  throw new Fault('usage', `${option} is of --on host: alone, and this machine is on ${
    target.type}`, { advice: `Leave it out: ${why}` })
}

/** `platform/name`, or a platform whose machine has no entry of its own. */
function splitName(text: string): readonly [string | undefined, string | undefined] {
  const [platform, ...name] = text.split('/')
  return [platform, name.length === 0 ? undefined : name.join('/')]
}

function nameOf(place: MachinePlace): string {
  return place.machineName ?? place.platformName ?? ''
}

function whereToName({ config }: EngineContext): string {
  const where = config.file ?? 'stillpoint.yaml'
  return 'Give --on libvirt:qemu:///system, --on vsphere:https://HOST/sdk,…, --on hyperv: or ' +
    `--on qemu:qmp=PATH,agent=PATH, or write platforms into ${where}.`
}
