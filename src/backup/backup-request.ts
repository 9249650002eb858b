/** What a backup is asked to do, and with what. */

import type { Clock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import type { RandomBytes } from '../base/random.ts'
import type { Platform } from '../catalog/mod.ts'
import type { FreezeLimits, PolicySettings } from '../consistency/mod.ts'
import type { Repository, WriteOptions } from '../repository/mod.ts'
import type { BackupEvent } from './backup-events.ts'

export interface BackupRequest {
  readonly repository: Repository
  readonly platform: Platform
  readonly machine: string
  readonly settings: PolicySettings
  /** Read all of each disk, whatever is known of its changes. */
  readonly full: boolean
  /** Disk ids to leave out. */
  readonly exclude: readonly string[]
  /** The operator says that nothing on the machine keeps durable data. */
  readonly declaredNoApplications: boolean
  readonly limits: FreezeLimits
  readonly write: WriteOptions
  readonly programVersion: string
  readonly clock: Clock
  readonly random: RandomBytes
  readonly log: Log
  readonly onEvent: (event: BackupEvent) => void
}
