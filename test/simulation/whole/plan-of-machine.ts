/** What the machine of one seed is. */

import type { FreezeLimits, PowerState, WriterLimits } from '../../../src/consistency/mod.ts'
import type { Dice } from './dice.ts'

export interface DiskPlan {
  readonly id: string
  readonly mountpoint: string
  /** `ext4` shows on the disk whether it was frozen, `btrfs` does not. */
  readonly type: 'ext4' | 'btrfs'
  /** What is on it but for what its writers change. */
  readonly content: Uint8Array
}

export interface ApplicationPlan {
  readonly name: string
  readonly kind: 'lock' | 'pause' | 'log'
  readonly diskIds: readonly string[]
  readonly everyMs: number
  readonly takesMs: number
  readonly limits: WriterLimits
  /** After how long a `pause` ends by itself. */
  readonly pauseMs: number
  /** What it says of its durability settings, truly. */
  readonly durability: 'safe' | 'unsafe'
  /** Some of its data is on a network mount. */
  readonly isOutside: boolean
}

export interface MachinePlan {
  readonly heldBy: 'requestor' | 'platform'
  readonly power: PowerState
  readonly disks: readonly DiskPlan[]
  readonly applications: readonly ApplicationPlan[]
  readonly declaredNone: boolean
  readonly exclude: readonly string[]
  readonly limits: FreezeLimits
  /** How the agent of Stillpoint is reached; only a socket says that the other end is gone. */
  readonly channel: 'port' | 'socket' | 'none'
  readonly hasGuestAgent: boolean
}

export function planMachine(dice: Dice): MachinePlan {
  const count = dice.pick([1, 2, 2, 3])
  const disks = Array.from({ length: count }, (_, at) => planDisk(at, dice))
  const applications = Array.from({ length: dice.pick([0, 1, 1, 2, 3]) }, (_, at) =>
    planApplication(at, disks, dice))
  const excluded = disks.length > 1 && dice.chance(0.08)
  return {
    heldBy: dice.chance(0.2) ? 'platform' : 'requestor',
    power: dice.chance(0.1) ? dice.pick(['off', 'off', 'paused', 'saved']) : 'running',
    disks, applications,
    declaredNone: applications.length === 0 && dice.chance(0.7),
    exclude: excluded ? [disks.at(-1)?.id ?? ''] : [],
    limits: {
      freezeMs: dice.between(500, 3000), holdMs: dice.between(200, 3000),
      thawMs: dice.between(500, 3000) },
    channel: dice.chance(0.08) ? 'none' : dice.pick(['port', 'port', 'socket']),
    hasGuestAgent: dice.chance(0.95),
  }
}

function planDisk(at: number, dice: Dice): DiskPlan {
  // One in twelve is of more than one chunk of 512 KiB; none is of a whole number of blocks.
  const sizeBytes = dice.chance(1 / 12) ? 1_300_000 + at : 72_000 + dice.between(0, 20_000)
  const content = new Uint8Array(sizeBytes)
  content.set(dice.bytes(4096), 20_480)
  content.set(dice.bytes(512), sizeBytes - 512)
  return {
    id: `vd${'abc'[at] ?? 'z'}`, mountpoint: at === 0 ? '/' : `/srv${at}`,
    type: dice.pick(['ext4', 'btrfs']), content,
  }
}

function planApplication(
  at: number, disks: readonly DiskPlan[], dice: Dice): ApplicationPlan {
  const kind = dice.pick(['lock', 'lock', 'pause', 'log'])
  const first = disks[dice.between(0, disks.length - 1)]?.id ?? ''
  const holdMs = dice.between(500, 4000)
  return {
    name: `${kind}-${at}`, kind,
    diskIds: dice.chance(0.3) ? disks.map(({ id }) => id) : [first],
    everyMs: dice.between(12, 200), takesMs: dice.between(2, 9),
    limits: { freezeMs: dice.between(300, 2000), holdMs, thawMs: dice.between(300, 2000) },
    pauseMs: holdMs + 3000,
    durability: dice.chance(0.1) ? 'unsafe' : 'safe',
    isOutside: dice.chance(0.05),
  }
}
