/**
 * Change tracking by dirty bitmaps (QEMU documentation, "Dirty Bitmaps and Incremental Backup").
 *
 * Between two backups into one repository each disk has exactly one bitmap of that repository: an
 * enabled one, named after the point it began at and the disk. At the instant, in one transaction,
 * a new one begins and the old one stops, so the old one has what changed between the two points.
 * When the new point is sealed the old bitmap goes. When it is not, the new one is merged back into
 * the old: nothing is lost either way, and which of the two to do can be told after any kill,
 * because the repository knows what is sealed.
 */

import type { DiskBase, TrackingRequest } from '../../consistency/mod.ts'
import type { QemuDisk } from './disks.ts'
import type { QmpClient } from './qmp-client.ts'
import { ask } from './qmp-replies.ts'

/** Begins the name of every bitmap of ours. */
const OURS = 'stillpoint:'

/**
 * `stillpoint:<repository id>:<point UUID>:<disk id>`: no other repository's run takes it for its
 * own, and no other disk's if images change places.
 */
export function bitmapName(repositoryId: string, pointId: string, diskId: string): string {
  return `${OURS}${repositoryId}:${pointId}:${diskId}`
}

/** One action of QMP's `transaction`. */
export interface TransactionAction {
  readonly type: string
  readonly data: Readonly<Record<string, unknown>>
}

interface Bitmap {
  readonly name: string
  readonly pointId: string
  readonly isRecording: boolean
  readonly isInconsistent: boolean
}

/** The bitmaps of one disk's node. */
interface NodeBitmaps {
  readonly node: string
  /** Of this repository and disk, those whose points are sealed first, newest before older. */
  readonly own: readonly Bitmap[]
  /** Of this repository and another disk: the image was that disk's. */
  readonly misplaced: readonly Bitmap[]
  readonly hasForeign: boolean
  /** QEMU keeps a bitmap over restarts only inside a qcow2 image. */
  readonly canPersist: boolean
}

/** What became of one disk's bitmaps, and what can be said of its changes. */
export interface SettledDisk {
  readonly node: string
  readonly base: DiskBase
  readonly canPersist: boolean
}

/**
 * Finishes what earlier runs left: bitmaps of points that are not sealed are merged back and
 * removed, superseded and inconsistent ones removed. Afterwards each disk has at most one bitmap
 * of the repository, and that one records. Faults: `platform-refused`, `machine-lost`.
 */
export async function settleBitmaps(
  client: QmpClient, disks: readonly QemuDisk[], request: TrackingRequest, signal: AbortSignal,
): Promise<readonly SettledDisk[]> {
  const settled: SettledDisk[] = []
  for (const disk of disks) {
    const { node } = disk
    const found = await readBitmaps(client, disk, request, signal)
    const base = baseOf(found, request)
    const actions = settlement(found, base, request)
    // One transaction a disk: a write between a merge and the removal would be lost.
    if (actions.length > 0) await client.execute('transaction', { actions }, signal)
    settled.push({ node, base: wordsFor(found, base, request), canPersist: found.canPersist })
  }
  return settled
}

async function readBitmaps(
  client: QmpClient, { id, node: nodeName }: QemuDisk,
  { repositoryId, sealed }: TrackingRequest, signal: AbortSignal,
): Promise<NodeBitmaps> {
  const nodes = await ask(client, 'query-named-block-nodes', signal, { flat: true })
  const node = nodes.find((node) => node['node-name'] === nodeName)
  const ours = (node?.['dirty-bitmaps'] ?? []).filter(({ name }) => name?.startsWith(OURS))
  const prefix = `${OURS}${repositoryId}:`
  const found = ours.flatMap(({ name = '', recording, inconsistent = false }) => {
    if (!name.startsWith(prefix)) return []
    const [pointId = '', diskId] = name.slice(prefix.length).split(':')
    return [{ name, pointId, diskId, isRecording: recording, isInconsistent: inconsistent }]
  })
  const age = ({ pointId }: Bitmap): number => sealed.lastIndexOf(pointId)
  return {
    node: nodeName,
    own: found.filter(({ diskId }) => diskId === id).toSorted((a, b) => age(b) - age(a)),
    misplaced: found.filter(({ diskId }) => diskId !== id),
    hasForeign: ours.length > found.length,
    canPersist: node?.drv === 'qcow2',
  }
}

/** The bitmap of the newest sealed point that has all changes since, alone or with another. */
function baseOf({ own }: NodeBitmaps, { sealed }: TrackingRequest): Bitmap | undefined {
  // One that is inconsistent says nothing, and neither does what would be merged into another.
  if (own.some(({ isInconsistent }) => isInconsistent)) return undefined
  const ofSealed = own.filter(({ pointId }) => sealed.includes(pointId))
  const recording = ofSealed.find(({ isRecording }) => isRecording)
  if (recording !== undefined) return recording
  // A base that stopped is whole only with the one that began when it stopped.
  const isContinued = own.some(({ isRecording }) => isRecording)
  return isContinued ? ofSealed[0] : undefined
}

function settlement(
  { node, own, misplaced }: NodeBitmaps, base: Bitmap | undefined, { sealed }: TrackingRequest,
): readonly TransactionAction[] {
  const others = own.filter((bitmap) => bitmap !== base)
  const remove = [...others, ...misplaced].map(({ name }) => (
    { type: 'block-dirty-bitmap-remove', data: { node, name } }))
  if (base === undefined) return remove
  // One that still records has all changes since its point: what a forgotten point's stopped
  // bitmap would add is older.
  const unsealed = base.isRecording ? []
    : others.filter(({ pointId }) => !sealed.includes(pointId))
  const merge = unsealed.length === 0 ? [] : [{
    type: 'block-dirty-bitmap-merge',
    data: { node, target: base.name, bitmaps: unsealed.map(({ name }) => name) },
  }]
  const enable = base.isRecording ? []
    : [{ type: 'block-dirty-bitmap-enable', data: { node, name: base.name } }]
  return [...merge, ...enable, ...remove]
}

function wordsFor(
  { own, misplaced, hasForeign }: NodeBitmaps, base: Bitmap | undefined,
  { sealed }: TrackingRequest,
): DiskBase {
  if (base !== undefined) return { since: base.pointId }
  if (own.some(({ isInconsistent }) => isInconsistent)) return { full: 'bitmap-inconsistent' }
  if (own.some(({ pointId }) => sealed.includes(pointId))) return { full: 'bitmap-gone' }
  if (own.length > 0) return { full: 'base-gone' }
  if (misplaced.length > 0) return { full: 'disk-replaced' }
  if (sealed.length > 0) return { full: 'bitmap-gone' }
  return { full: hasForeign ? 'other-repository' : 'first-backup' }
}
