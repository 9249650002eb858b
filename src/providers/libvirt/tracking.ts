/**
 * Change tracking by libvirt's checkpoints (libvirt.org, "Checkpoint XML format").
 *
 * A checkpoint is a bitmap on each disk that records until it is deleted, whatever checkpoints come
 * after it (measured with libvirt 9.0: all bitmaps stay recording). So ours and those of other
 * tools do not touch: between two backups into one repository a machine has exactly one checkpoint
 * of that repository, named after the point it began at. When a new point is sealed the old
 * checkpoint goes, and when it is not, the new one.
 */

import { isFault } from '../../base/fault.ts'
import type { Log } from '../../base/log.ts'
import { childAt, childrenOf, parseXml } from '../../base/xml.ts'
import type { DiskBase, FullReason, SetTracking, TrackingRequest } from '../../consistency/mod.ts'
import type { RestingImage } from '../machine/image-chain.ts'
import { sourceName, type LibvirtDisk } from './disks.ts'
import { checkpointName, parseCheckpoint } from './names.ts'
import type { VirshCommands } from './virsh.ts'

/** Images that QEMU keeps bitmaps in over restarts, which libvirt demands. */
const CAN_KEEP_BITMAPS = new Set(['qcow2'])

interface OwnCheckpoint {
  readonly name: string
  readonly pointId: string
}

export class LibvirtTracking implements SetTracking {
  readonly bases: ReadonlyMap<string, DiskBase>
  /** Of the checkpoint that begins with this run; undefined if no disk can have one. */
  readonly newName: string | undefined
  /** libvirt's names of the disks that it records. */
  readonly tracked: readonly string[]
  readonly #request: TrackingRequest
  readonly #pointId: string
  readonly #virsh: VirshCommands
  readonly #uuid: string
  readonly #log: Log
  #isSealed = false

  private constructor(
    where: TrackingPlace, disks: readonly LibvirtDisk[], bases: ReadonlyMap<string, DiskBase>,
    request: TrackingRequest, pointId: string) {
    this.bases = bases
    this.tracked = disks.filter(canBeTracked).map(({ name }) => name)
    this.newName = this.tracked.length === 0
      ? undefined : checkpointName(request.repositoryId, pointId)
    this.#request = request
    this.#pointId = pointId
    this.#virsh = where.virsh
    this.#uuid = where.uuid
    this.#log = where.log
  }

  /**
   * Settles what earlier runs left: of the repository's checkpoints only that of its newest sealed
   * point stays. Faults: `platform-*`.
   */
  static async begin(
    where: TrackingPlace, disks: readonly LibvirtDisk[], request: TrackingRequest,
    pointId: string, signal: AbortSignal,
  ): Promise<LibvirtTracking> {
    const { base, hasForeign } = await settle(where, request, signal)
    const known = base === undefined
      ? undefined : await readCheckpoint(where, base, true, signal)
    const bases = new Map(disks.map((disk): [string, DiskBase] => {
      if (!canBeTracked(disk)) return [disk.id, { full: 'not-tracked' }]
      if (base === undefined || known === undefined) {
        return [disk.id, { full: whyNoBase(request, hasForeign) }]
      }
      return [disk.id, baseOf(disk, known, base.pointId)]
    }))
    return new LibvirtTracking(where, disks, bases, request, pointId)
  }

  /** The checkpoint since which the changes of a disk are exported; undefined without a base. */
  sinceOf(diskId: string): string | undefined {
    const base = this.bases.get(diskId)
    return base !== undefined && 'since' in base
      ? checkpointName(this.#request.repositoryId, base.since) : undefined
  }

  sealed(): void {
    this.#isSealed = true
  }

  /** Ends the run's tracking, once the job is gone. Faults: `platform-*`. */
  async settle(signal: AbortSignal): Promise<void> {
    const { repositoryId, sealed } = this.#request
    await settle({ virsh: this.#virsh, uuid: this.#uuid, log: this.#log }, {
      repositoryId, sealed: this.#isSealed ? [...sealed, this.#pointId] : sealed }, signal)
  }
}

export interface TrackingPlace {
  readonly virsh: VirshCommands
  readonly uuid: string
  readonly log: Log
}

function canBeTracked({ format }: LibvirtDisk): boolean {
  return CAN_KEEP_BITMAPS.has(format)
}

function whyNoBase({ sealed }: TrackingRequest, hasForeign: boolean): FullReason {
  return sealed.length > 0 ? 'bitmap-gone' : hasForeign ? 'other-repository' : 'first-backup'
}

/** All checkpoints of ours, of whatever repository, and whether there are others' too. */
async function listCheckpoints(
  virsh: VirshCommands, uuid: string, signal: AbortSignal): Promise<readonly string[]> {
  return (await virsh.run(['checkpoint-list', uuid, '--name'], signal))
    .split('\n').map((line) => line.trim()).filter((line) => line !== '')
}

/** How many checkpoints other tools have. */
export async function countForeign(
  virsh: VirshCommands, uuid: string, signal: AbortSignal): Promise<number> {
  const names = await listCheckpoints(virsh, uuid, signal)
  return names.filter((name) => parseCheckpoint(name) === undefined).length
}

interface OwnCheckpoints {
  /** Of the repository. */
  readonly own: readonly OwnCheckpoint[]
  /** That of its newest sealed point. */
  readonly base: OwnCheckpoint | undefined
  /** Whether there are ours of other repositories. */
  readonly hasForeign: boolean
}

async function ownCheckpoints(
  { virsh, uuid }: TrackingPlace, { repositoryId, sealed }: TrackingRequest, signal: AbortSignal,
): Promise<OwnCheckpoints> {
  const ours = (await listCheckpoints(virsh, uuid, signal)).flatMap((name) => {
    const parsed = parseCheckpoint(name)
    return parsed === undefined ? [] : [{ name, ...parsed }]
  })
  const own = ours.filter((it) => it.repositoryId === repositoryId)
  const [base] = own.filter(({ pointId }) => sealed.includes(pointId))
    .toSorted((a, b) => sealed.lastIndexOf(b.pointId) - sealed.lastIndexOf(a.pointId))
  return { own, base, hasForeign: ours.length > own.length }
}

/** Deletes all of the repository's checkpoints but that of its newest sealed point. */
async function settle(
  where: TrackingPlace, request: TrackingRequest, signal: AbortSignal): Promise<OwnCheckpoints> {
  const { virsh, uuid, log } = where
  const found = await ownCheckpoints(where, request, signal)
  for (const { name } of found.own) {
    if (name === found.base?.name) continue
    try {
      await virsh.run(['checkpoint-delete', uuid, name], signal)
    } catch (error) {
      // It stays until the next run: its bitmap costs some memory and nothing else.
      if (!isFault(error, 'platform-refused')) throw error
      log.warn('libvirt.checkpoint-stays', { name, reason: error.message })
    }
  }
  return found
}

interface KnownDisk {
  /** The image on top when the checkpoint began. */
  readonly source: string | undefined
  /** False where libvirt cannot tell how much has changed: the bitmap is gone or inconsistent. */
  readonly isWhole: boolean
}

/** By libvirt's name; undefined if libvirt does not tell. It tells sizes of a machine that runs. */
async function readCheckpoint(
  { virsh, uuid }: TrackingPlace, { name }: OwnCheckpoint, isRunning: boolean, signal: AbortSignal,
): Promise<ReadonlyMap<string, KnownDisk> | undefined> {
  try {
    const xml = parseXml(await virsh.run(['checkpoint-dumpxml', uuid, name], signal),
      'a checkpoint', 'platform-protocol')
    const sized = parseXml(
      await virsh.run(['checkpoint-dumpxml', uuid, name, '--no-domain',
        ...isRunning ? ['--size'] : []], signal), 'a checkpoint', 'platform-protocol')
    const sources = new Map(childrenOf(childAt(xml, 'domain', 'devices'), 'disk').map((disk) => [
      childAt(disk, 'target')?.attributes.get('dev') ?? '', sourceName(childAt(disk, 'source'))]))
    return new Map(childrenOf(childAt(sized, 'disks'), 'disk')
      .filter(({ attributes }) => attributes.get('checkpoint') === 'bitmap')
      .map(({ attributes }) => [attributes.get('name') ?? '', {
        source: sources.get(attributes.get('name') ?? ''),
        isWhole: !isRunning || attributes.get('size') !== undefined,
      }]))
  } catch (error) {
    if (isFault(error, 'platform-refused')) return undefined
    throw error
  }
}

/**
 * A disk that has another image than when the checkpoint began is another disk, unless its image of
 * then lies below: an external snapshot takes the bitmaps along.
 */
function baseOf(
  disk: LibvirtDisk, known: ReadonlyMap<string, KnownDisk>, pointId: string): DiskBase {
  const before = known.get(disk.name)
  if (before === undefined) return { full: 'disk-replaced' }
  if (before.source === undefined || !disk.sources.includes(before.source)) {
    return { full: 'disk-replaced' }
  }
  return before.isWhole ? { since: pointId } : { full: 'bitmap-inconsistent' }
}

export interface RestingTracking extends SetTracking {
  /** The bitmap with a disk's changes since its base; undefined without one. */
  bitmapOf(diskId: string): string | undefined
}

/**
 * Of a machine that does not run: its bitmaps are in the images, and libvirt changes no checkpoint.
 * So none begins at the new point, and the next increment has the same base. Faults: `platform-*`.
 */
export async function restingTracking(
  where: TrackingPlace,
  disks: readonly (LibvirtDisk & { readonly image: Pick<RestingImage, 'bitmaps'> })[],
  request: TrackingRequest, signal: AbortSignal,
): Promise<RestingTracking> {
  const { base, hasForeign } = await ownCheckpoints(where, request, signal)
  const known = base === undefined
    ? undefined : await readCheckpoint(where, base, false, signal)
  const bases = new Map(disks.map((disk): [string, DiskBase] => {
    if (!canBeTracked(disk)) return [disk.id, { full: 'not-tracked' }]
    if (base === undefined || known === undefined) {
      return [disk.id, { full: whyNoBase(request, hasForeign) }]
    }
    const found = baseOf(disk, known, base.pointId)
    const isWhole = disk.image.bitmaps.get(base.name)
    if ('full' in found || isWhole === true) return [disk.id, found]
    return [disk.id, { full: isWhole === undefined ? 'bitmap-gone' : 'bitmap-inconsistent' }]
  }))
  return {
    bases,
    sealed: () => {},
    bitmapOf: (diskId) => 'since' in (bases.get(diskId) ?? {}) ? base?.name : undefined,
  }
}

/** For a guardian: deletes the checkpoint that a run began, whose requestor is gone. */
export async function deleteCheckpointOf(
  virsh: VirshCommands, uuid: string, run: string, signal: AbortSignal): Promise<void> {
  for (const name of await listCheckpoints(virsh, uuid, signal)) {
    if (parseCheckpoint(name)?.pointId.startsWith(run) !== true) continue
    await virsh.run(['checkpoint-delete', uuid, name], signal)
  }
}
