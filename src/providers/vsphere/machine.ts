/** A virtual machine as vSphere describes it. All strings are foreign. */

import { Fault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import type { MachineNic, MachineSummary } from '../../catalog/mod.ts'
import type { PowerState } from '../../consistency/mod.ts'
import { parseDevices, type VimController, type VimDisk } from './devices.ts'
import { faultFrom } from './vim/faults.ts'
import type { ObjectProperties } from './vim/properties.ts'
import { morefOf, type Moref } from './vim/soap.ts'
import { childAt, childOf, childrenOf, textAt, type XmlElement } from '../../base/xml.ts'
import { numberOf } from './vim/values.ts'

export interface VimMachine {
  readonly ref: Moref
  readonly name: string
  readonly isTemplate: boolean
  readonly uuid: string | undefined
  readonly power: PowerState
  /** `connected`, `disconnected`, `inaccessible`, `invalid`, `orphaned`. */
  readonly connection: string
  readonly bootTime: string | undefined
  /** Who runs it; undefined where the account may not see that. */
  readonly host: Moref | undefined
  readonly needsConsolidation: boolean
  /** The number of `vmx-13`; 0 if it is not stated. */
  readonly hardwareVersion: number
  /** VMware's id of the guest's system: `windows2019srv_64Guest`, `debian12_64Guest`. */
  readonly guestId: string
  readonly cpuCount: number
  readonly memoryBytes: number
  readonly firmware: 'bios' | 'uefi' | 'unknown'
  readonly isEncrypted: boolean
  /** disk.EnableUUID, without which Windows guests are not held at application level. */
  readonly hasDiskUuids: boolean
  readonly tracksChanges: boolean
  readonly canTrackChanges: boolean
  readonly tools: ToolsState
  /** `[datastore] folder/file.vmx` */
  readonly vmxPath: string
  /** `[datastore] folder` */
  readonly snapshotDirectory: string
  readonly controllers: readonly VimController[]
  readonly disks: readonly VimDisk[]
  readonly nics: readonly MachineNic[]
  readonly datastores: readonly Moref[]
  /** All of the tree, parents before children. */
  readonly snapshots: readonly VimSnapshot[]
}

export interface ToolsState {
  /** toolsRunningStatus */
  readonly running: string
  /** toolsVersionStatus2; empty where it is not stated. */
  readonly version: string
}

export interface VimSnapshot {
  readonly ref: Moref
  readonly name: string
  readonly description: string
  /** Its own claim, which shows nothing: servers echo what was asked for. */
  readonly quiesced: boolean
  /** Where its manifest lies, below the snapshot directory; undefined without one. */
  readonly manifest: string | undefined
}

/** For a list of machines. */
export const SUMMARY_PATHS: readonly string[] = [
  'name', 'config.template', 'runtime.powerState', 'guest.toolsRunningStatus',
  'config.hardware.device',
]

export const MACHINE_PATHS: readonly string[] = [
  'name', 'config', 'runtime.powerState', 'runtime.connectionState', 'runtime.bootTime',
  'runtime.host',
  'runtime.consolidationNeeded', 'guest.toolsRunningStatus', 'guest.toolsVersionStatus2',
  'guest.toolsStatus', 'capability.changeTrackingSupported', 'snapshot', 'datastore',
]

/** Deeper than vSphere allows snapshots to be. */
const MAX_SNAPSHOTS = 1_000

/** Undefined for a template, which has no life to back up. */
export function parseSummary({ values }: ObjectProperties): MachineSummary | undefined {
  if (values.get('config.template')?.text === 'true') return undefined
  const isRunning = values.get('guest.toolsRunningStatus')?.text === 'guestToolsRunning'
  const { disks } = parseDevices(values.get('config.hardware.device'))
  return {
    name: values.get('name')?.text ?? '',
    power: powerOf(values.get('runtime.powerState')?.text),
    agent: isRunning ? 'answers' : 'silent',
    disks: disks.map(({ id, sizeBytes }) => ({ id, sizeBytes })),
  }
}

/**
 * Faults: `platform-protocol`; `platform-refused` where the account may not look,
 * `machine-not-ready` where vSphere itself knows nothing of the machine.
 */
export function parseMachine({ ref, values, missing }: ObjectProperties): VimMachine {
  const config = values.get('config')
  if (config === undefined) {
    const refusal = missing.get('config') ?? missing.get('name')
    if (refusal !== undefined) throw faultFrom(refusal, `to describe ${printable(ref.id, 40)}`)
    throw new Fault('machine-not-ready',
      `vSphere has no description of ${printable(values.get('name')?.text ?? ref.id, 100)}`, {
        retry: 'later', advice: 'See whether its files are accessible to its host.' })
  }
  const hardware = childOf(config, 'hardware')
  const stated = (path: string): string | undefined => values.get(path)?.text
  return {
    ref,
    name: stated('name') ?? '',
    isTemplate: textAt(config, 'template') === 'true',
    uuid: textAt(config, 'uuid'),
    power: powerOf(stated('runtime.powerState')),
    connection: stated('runtime.connectionState') ?? 'connected',
    bootTime: stated('runtime.bootTime'),
    host: values.has('runtime.host') ? morefOf(values.get('runtime.host'), 'the host') : undefined,
    needsConsolidation: stated('runtime.consolidationNeeded') === 'true',
    hardwareVersion: Number(/^vmx-(\d{1,3})$/.exec(textAt(config, 'version') ?? '')?.[1] ?? 0),
    guestId: textAt(config, 'guestId') ?? '',
    cpuCount: numberOf(textAt(hardware, 'numCPU') ?? '1', 'the number of processors'),
    memoryBytes: numberOf(textAt(hardware, 'memoryMB') ?? '0', 'the memory') * 2 ** 20,
    firmware: firmwareOf(textAt(config, 'firmware')),
    isEncrypted: childOf(config, 'keyId') !== undefined,
    hasDiskUuids: extraConfig(config, 'disk.enableuuid')?.toLowerCase() === 'true',
    tracksChanges: textAt(config, 'changeTrackingEnabled') === 'true',
    canTrackChanges: stated('capability.changeTrackingSupported') === 'true',
    tools: toolsOf(stated),
    vmxPath: textAt(config, 'files', 'vmPathName') ?? '',
    snapshotDirectory: textAt(config, 'files', 'snapshotDirectory') ?? '',
    ...parseDevices(hardware),
    datastores: childrenOf(values.get('datastore'), 'ManagedObjectReference')
      .map((it) => morefOf(it, 'a datastore')),
    snapshots: parseSnapshots(values.get('snapshot')),
  }
}

function powerOf(text: string | undefined): PowerState {
  return text === 'poweredOff' ? 'off' : text === 'suspended' ? 'saved' : 'running'
}

function firmwareOf(text: string | undefined): VimMachine['firmware'] {
  return text === 'efi' ? 'uefi' : text === 'bios' ? 'bios' : 'unknown'
}

function toolsOf(stated: (path: string) => string | undefined): ToolsState {
  const isMissing = stated('guest.toolsStatus') === 'toolsNotInstalled'
  return {
    running: stated('guest.toolsRunningStatus') ?? 'guestToolsNotRunning',
    version: stated('guest.toolsVersionStatus2') ?? (isMissing ? 'guestToolsNotInstalled' : ''),
  }
}

/** The value of a key, which is written in any case. */
function extraConfig(config: XmlElement | undefined, key: string): string | undefined {
  const option = childrenOf(config, 'extraConfig')
    .find((it) => textAt(it, 'key')?.toLowerCase() === key)
  return textAt(option, 'value')
}

function parseSnapshots(tree: XmlElement | undefined): readonly VimSnapshot[] {
  const found: VimSnapshot[] = []
  const waiting = [...childrenOf(tree, 'rootSnapshotList')]
  for (let node = waiting.shift(); node !== undefined && found.length < MAX_SNAPSHOTS;
    node = waiting.shift()) {
    const manifest = textAt(node, 'backupManifest') ?? ''
    found.push({
      ref: morefOf(childAt(node, 'snapshot'), 'a snapshot'),
      name: textAt(node, 'name') ?? '',
      description: textAt(node, 'description') ?? '',
      quiesced: textAt(node, 'quiesced') === 'true',
      manifest: manifest === '' ? undefined : manifest,
    })
    waiting.push(...childrenOf(node, 'childSnapshotList'))
  }
  return found
}
