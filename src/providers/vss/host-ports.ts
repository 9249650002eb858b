/** What backing up a Windows host needs of that host, so that tests can be one. */

import type { Clock } from '../../base/clock.ts'
import type { Log } from '../../base/log.ts'
import type { FindData, RunningService } from '../../consistency/mod.ts'
import type { BlockSource } from '../../disk/mod.ts'
import type { HostVolume } from './host-disks.ts'
import type { RegistryValue } from './registry.ts'
import type { VssBackupType, VssTransport } from './session/transport.ts'

export interface HostPorts {
  readonly transport: VssTransport
  /** Why the transport is not the best one there is. */
  readonly because?: string | undefined
  /** Fixed volumes, now. Faults: `platform-*`. */
  volumes(signal: AbortSignal): Promise<readonly HostVolume[]>
  /** Variables that writers' paths may name. */
  readonly environment: ReadonlyMap<string, string>
  openDevice(device: string, sizeBytes: number, signal: AbortSignal): Promise<BlockSource>
  /** That run, now. Faults: `platform-*`, `program-*`, `timed-out`. */
  services(signal: AbortSignal): Promise<readonly RunningService[]>
  /** As `queryRegistry`. */
  registry(key: string, below: boolean, signal: AbortSignal): Promise<readonly RegistryValue[]>
  /** Looks for data that no writer knows. */
  readonly findData: FindData
  readonly clock: Clock
  readonly log: Log
}

export interface HostProviderOptions {
  readonly backupType: VssBackupType
  /** Beside page files: lists of the registry and patterns, as `readLeaveOut` takes them. */
  readonly leaveOut?: readonly string[]
}
