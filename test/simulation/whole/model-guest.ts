/**
 * The guest: file systems that can be frozen, on disks that are written to all the time.
 *
 * What a disk holds at an instant is worked out from how long its writers have run: the superblock,
 * as ext4 and btrfs leave it when they are frozen and when they are not; a counter of the file
 * system's own writes; and a record of each application's transactions.
 */

import type { Clock } from '../../../src/base/clock.ts'
import { Activity, type Span } from './activity.ts'
import { ModelApplication, RECORD_BYTES } from './model-application.ts'
import type { DiskPlan, MachinePlan } from './plan-of-machine.ts'

const WRITE_EVERY_MS = 3
const SUPERBLOCK = 1024
const COUNTER_AT = 8192
const RECORDS_AT = 12_288
const BTRFS_SUPERBLOCK = 65_536
const EXT_RECOVER = 0x4
/** Of a disk that was added, on which nothing is. */
export const BLANK_BYTES = 4096

export class ModelFileSystem {
  readonly plan: DiskPlan
  readonly activity: Activity
  /** Since when it is frozen. */
  hold: Span | undefined

  constructor(plan: DiskPlan, clock: Clock, isDown: () => boolean) {
    this.plan = plan
    this.activity = new Activity(clock, () => isDown() || this.hold !== undefined)
  }
}

export class ModelGuest {
  readonly clock: Clock
  readonly fileSystems: readonly ModelFileSystem[]
  readonly applications: readonly ModelApplication[]
  onApplicationHeld: () => void = () => {}
  /** All that was ever held, for the judge. */
  readonly spans: Span[] = []
  readonly #contents: ReadonlyMap<string, Uint8Array>
  /** Called before anything changes. */
  readonly #settle: () => void
  isDown: boolean
  /** Of the requestor. */
  run = 0

  constructor(plan: MachinePlan, clock: Clock) {
    this.clock = clock
    this.isDown = plan.power !== 'running'
    const isDown = (): boolean => this.isDown
    this.fileSystems = plan.disks.map((disk) => new ModelFileSystem(disk, clock, isDown))
    this.#settle = () => {
      for (const { activity } of [...this.fileSystems, ...this.applications]) activity.settle()
    }
    this.applications = plan.applications.map((application) => new ModelApplication(application, {
      clock, spans: this.spans, settle: this.#settle, run: () => this.run,
      onHeld: () => this.onApplicationHeld(),
      isStopped: () => this.isDown || this.fileSystems.some(({ plan, hold }) =>
        hold !== undefined && application.diskIds.includes(plan.id)),
    }))
    this.#contents = new Map(plan.disks.map((disk) => [disk.id, disk.content]))
  }

  get isFrozen(): boolean {
    return this.fileSystems.some(({ hold }) => hold !== undefined)
  }

  /** What this run holds now; what an earlier one left may last until its own limit. */
  get held(): readonly string[] {
    return this.spans.filter(({ run, toMs }) => run === this.run && toMs === undefined)
      .map(({ what }) => what)
  }

  /** Freezes all but those at the mountpoints `except`; says how many were not frozen before. */
  freeze(except: readonly string[] = []): number {
    this.#settle()
    const frozen = this.fileSystems.filter(({ plan, hold }) =>
      hold === undefined && !except.includes(plan.mountpoint))
    for (const it of frozen) {
      const span = {
        what: it.plan.mountpoint, run: this.run, fromMs: this.clock.monotonicMs(), toMs: undefined }
      it.hold = span
      this.spans.push(span)
    }
    return frozen.length
  }

  /** Thaws all, or the one at `only`; says how many were frozen. */
  thaw(only?: string): number {
    this.#settle()
    const thawed = this.fileSystems.filter(({ plan, hold }) =>
      hold !== undefined && (only === undefined || plan.mountpoint === only))
    for (const it of thawed) {
      if (it.hold !== undefined) it.hold.toMs = this.clock.monotonicMs()
      it.hold = undefined
    }
    return thawed.length
  }

  powerOn(): void {
    this.#settle()
    this.isDown = false
  }

  /** How many writes there have been to all disks: two instants with one count are one. */
  get writes(): number {
    this.#settle()
    const own = this.fileSystems.map(({ activity }) => writesIn(activity.settle()))
    return [...own, ...this.applications.map((it) => it.record().begun + it.record().done)]
      .reduce((sum, count) => sum + count, 0)
  }

  /** The disk as it is now; the caller's. */
  contentOf(diskId: string): Uint8Array<ArrayBuffer> {
    this.#settle()
    const bytes = new Uint8Array(this.#contents.get(diskId) ?? new Uint8Array(BLANK_BYTES))
    const view = Buffer.from(bytes.buffer)
    const found = this.fileSystems.find(({ plan }) => plan.id === diskId)
    if (found !== undefined) {
      const { plan: { type }, activity, hold } = found
      view.writeUInt32LE(writesIn(activity.settle()), COUNTER_AT)
      // A clean unmount and a freeze both leave ext4 without need of recovery.
      const isAtRest = hold !== undefined || this.isDown
      if (type === 'ext4') writeExt(view, isAtRest)
      else writeBtrfs(view)
    }
    for (const [slot, application] of this.applications.entries()) {
      if (!application.plan.diskIds.includes(diskId)) continue
      const { begun, done } = application.record()
      view.writeUInt32LE(begun, RECORDS_AT + slot * RECORD_BYTES)
      view.writeUInt32LE(done, RECORDS_AT + slot * RECORD_BYTES + 4)
    }
    return bytes
  }
}

/** Whether the application's transactions were at rest, as the captured disks have them. */
export function isAtRestOn(slot: number, disk: Uint8Array): boolean {
  const at = RECORDS_AT + slot * RECORD_BYTES
  const view = Buffer.from(disk.buffer, disk.byteOffset)
  return view.readUInt32LE(at) === view.readUInt32LE(at + 4)
}

function writesIn(runningMs: number): number {
  return Math.floor(runningMs / WRITE_EVERY_MS)
}

/** As much of a superblock as tells ext4, and whether its journal must be replayed. */
function writeExt(disk: Buffer, isAtRest: boolean): void {
  disk.writeUInt32LE(64, SUPERBLOCK)
  disk.writeUInt32LE(64, SUPERBLOCK + 4)
  disk.writeUInt32LE(0, SUPERBLOCK + 24)
  disk.writeUInt16LE(0xef53, SUPERBLOCK + 56)
  disk.writeUInt32LE(0x4, SUPERBLOCK + 92) // it has a journal
  disk.writeUInt32LE(isAtRest ? 0 : EXT_RECOVER, SUPERBLOCK + 96)
  disk.writeUInt32LE(0, SUPERBLOCK + 100)
}

/** btrfs without a log tree, which says nothing of a freeze. */
function writeBtrfs(disk: Buffer): void {
  disk.writeBigUInt64LE(BigInt(BTRFS_SUPERBLOCK), BTRFS_SUPERBLOCK + 48)
  disk.write('_BHRfS_M', BTRFS_SUPERBLOCK + 64, 'latin1')
  disk.writeBigUInt64LE(0n, BTRFS_SUPERBLOCK + 96)
  disk.writeUInt16LE(1, BTRFS_SUPERBLOCK + 196) // another checksum than CRC32C
}
