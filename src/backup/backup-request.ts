/** What a backup is asked to do, and with what. */

import type { RandomBytes } from '../base/random.ts'
import type { Pins, Platform } from '../catalog/mod.ts'
import type { FreezeLimits, PolicySettings, Signer } from '../consistency/mod.ts'
import type { Repository, WriteOptions } from '../repository/mod.ts'
import type { ApplicationsRequest } from './applications.ts'
import type { BackupEvent } from './backup-events.ts'

export interface BackupRequest extends ApplicationsRequest {
  readonly repository: Repository
  readonly platform: Platform
  readonly machine: string
  readonly settings: PolicySettings
  /** Read all of each disk, whatever is known of its changes. */
  readonly full: boolean
  /** Disk ids to leave out. */
  readonly exclude: readonly string[]
  readonly limits: FreezeLimits
  readonly write: WriteOptions
  readonly programVersion: string
  /** Signs the evidence. */
  readonly signer: Signer
  /** Further keys whose points are believed. */
  readonly pins: Pins
  readonly random: RandomBytes
  readonly onEvent: (event: BackupEvent) => void
}
