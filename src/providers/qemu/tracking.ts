/** One run's change tracking on one machine: bitmaps begun, switched at the instant, settled. */

import { isFault } from '../../base/fault.ts'
import type { Log } from '../../base/log.ts'
import type { DiskBase, SetTracking, TrackingRequest } from '../../consistency/mod.ts'
import { bitmapName, settleBitmaps, type SettledDisk, type TransactionAction } from './bitmaps.ts'
import type { QemuDisk } from './disks.ts'
import type { QmpClient } from './qmp-client.ts'

/** A bit for 64 KiB, QEMU's own default for its usual cluster. */
const GRANULARITY_BYTES = 65_536

interface TrackedDisk extends SettledDisk {
  /** False where this QEMU or image cannot keep a bitmap. */
  readonly hasNew: boolean
}

export class QemuTracking implements SetTracking {
  readonly bases: ReadonlyMap<string, DiskBase>
  readonly #disks: readonly QemuDisk[]
  readonly #tracked: ReadonlyMap<string, TrackedDisk>
  readonly #request: TrackingRequest
  readonly #pointId: string
  #isSealed = false

  private constructor(
    disks: readonly QemuDisk[], tracked: ReadonlyMap<string, TrackedDisk>,
    request: TrackingRequest, pointId: string) {
    this.#disks = disks
    this.#tracked = tracked
    this.#request = request
    this.#pointId = pointId
    this.bases = new Map([...tracked].map(([id, { base, hasNew }]) =>
      [id, hasNew ? base : { full: 'not-tracked' }]))
  }

  /**
   * Settles what earlier runs left and adds this run's bitmaps, which record nothing yet. A disk
   * that cannot have one is not tracked, which is no fault. Faults: `machine-lost`.
   */
  static async begin(
    client: QmpClient, disks: readonly QemuDisk[], request: TrackingRequest, pointId: string,
    log: Log, signal: AbortSignal,
  ): Promise<QemuTracking> {
    const settled = await settleBitmaps(client, disks, request, signal)
    const tracked = new Map<string, TrackedDisk>()
    for (const [index, disk] of disks.entries()) {
      const found = settled[index]
      if (found === undefined) continue
      const name = bitmapName(request.repositoryId, pointId, disk.id)
      const fault = await addBitmap(client, found, name, signal)
      if (fault !== undefined) log.warn('qemu.not-tracked', { disk: disk.id, reason: fault })
      tracked.set(disk.id, { ...found, hasNew: fault === undefined })
    }
    return new QemuTracking(disks, tracked, request, pointId)
  }

  /** What the instant switches: this run's bitmaps begin, those of the bases stop. */
  get switchActions(): readonly TransactionAction[] {
    const { repositoryId } = this.#request
    return [...this.#tracked].filter(([, { hasNew }]) => hasNew).flatMap(([id, { node, base }]) => [
      { type: 'block-dirty-bitmap-enable',
        data: { node, name: bitmapName(repositoryId, this.#pointId, id) } },
      ...('since' in base ? [{ type: 'block-dirty-bitmap-disable',
        data: { node, name: bitmapName(repositoryId, base.since, id) } }] : []),
    ])
  }

  /** The bitmap that has the changes of a disk since its base; undefined without a base. */
  bitmapOf(diskId: string): string | undefined {
    const base = this.bases.get(diskId)
    return base !== undefined && 'since' in base
      ? bitmapName(this.#request.repositoryId, base.since, diskId) : undefined
  }

  sealed(): void {
    this.#isSealed = true
  }

  /** Ends the run's tracking, once nothing is exported any more. Faults: as `settleBitmaps`. */
  async settle(client: QmpClient, signal: AbortSignal): Promise<void> {
    const { repositoryId, sealed } = this.#request
    await settleBitmaps(client, this.#disks, {
      repositoryId, sealed: this.#isSealed ? [...sealed, this.#pointId] : sealed }, signal)
  }
}

/** Adds a bitmap that does not record yet; the reason if the disk cannot have one. */
async function addBitmap(
  client: QmpClient, { node, canPersist }: SettledDisk, name: string, signal: AbortSignal,
): Promise<string | undefined> {
  try {
    await client.execute('block-dirty-bitmap-add', {
      node, name, granularity: GRANULARITY_BYTES, disabled: true,
      ...(canPersist ? { persistent: true } : {}),
    }, signal)
    return undefined
  } catch (error) {
    if (!isFault(error, 'platform-refused', 'unsupported')) throw error
    return error.message
  }
}
