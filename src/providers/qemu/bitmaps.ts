/**
 * Change tracking by dirty bitmaps (QEMU documentation, "Dirty Bitmaps and Incremental Backup").
 *
 * Between two backups into one repository each disk has exactly one bitmap of that repository: an
 * enabled one, named after the point it began at. At the instant, in one transaction, a new one
 * begins and the old one stops, so the old one has what changed between the two points. When the
 * new point is sealed the old bitmap goes. When it is not, the new one is merged back into the old:
 * nothing is lost either way, and which of the two to do can be told after any kill, because the
 * repository knows what is sealed.
 */

import type { DiskBase, TrackingRequest } from '../../consistency/mod.ts'
import type { QemuDisk } from './disks.ts'
import type { QmpClient } from './qmp-client.ts'
import { ask } from './qmp-replies.ts'

/** Begins the name of every bitmap of ours. */
const OURS = 'stillpoint:'

/** `stillpoint:<repository id>:<point UUID>`: no other repository's run takes it for its own. */
export function bitmapName(repositoryId: string, pointId: string): string {
  return `${OURS}${repositoryId}:${pointId}`
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
  /** Of this repository, those whose points are sealed first, newest before older. */
  readonly own: readonly Bitmap[]
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
  for (const { node } of disks) {
    const found = await readBitmaps(client, node, request, signal)
    const base = baseOf(found, request)
    const actions = settlement(found, base, request)
    // One transaction a disk: a write between a merge and the removal would be lost.
    if (actions.length > 0) await client.execute('transaction', { actions }, signal)
    settled.push({ node, base: wordsFor(found, base, request), canPersist: found.canPersist })
  }
  return settled
}

async function readBitmaps(
  client: QmpClient, nodeName: string, { repositoryId, sealed }: TrackingRequest,
  signal: AbortSignal,
): Promise<NodeBitmaps> {
  const nodes = await ask(client, 'query-named-block-nodes', signal, { flat: true })
  const node = nodes.find((node) => node['node-name'] === nodeName)
  const ours = (node?.['dirty-bitmaps'] ?? []).filter(({ name }) => name?.startsWith(OURS))
  const prefix = `${OURS}${repositoryId}:`
  const own = ours.flatMap(({ name = '', recording, inconsistent = false }) =>
    name.startsWith(prefix) ? [{
      name, pointId: name.slice(prefix.length), isRecording: recording,
      isInconsistent: inconsistent,
    }] : [])
  const age = ({ pointId }: Bitmap): number => sealed.lastIndexOf(pointId)
  return {
    node: nodeName,
    own: own.toSorted((a, b) => age(b) - age(a)),
    hasForeign: ours.length > own.length,
    canPersist: node?.drv === 'qcow2',
  }
}

/** The bitmap of the newest sealed point, if it has all changes since, alone or with another. */
function baseOf({ own }: NodeBitmaps, { sealed }: TrackingRequest): Bitmap | undefined {
  const [first] = own
  if (first === undefined || !sealed.includes(first.pointId)) return undefined
  // One that is inconsistent says nothing, and neither does what would be merged into another.
  if (own.some(({ isInconsistent }) => isInconsistent)) return undefined
  // A base that stopped is whole only with the one that began when it stopped.
  const isContinued = own.some(({ pointId, isRecording }) =>
    isRecording && !sealed.includes(pointId))
  return first.isRecording || isContinued ? first : undefined
}

function settlement(
  { node, own }: NodeBitmaps, base: Bitmap | undefined, { sealed }: TrackingRequest,
): readonly TransactionAction[] {
  const others = own.filter((bitmap) => bitmap !== base)
  const remove = others.map(({ name }) => (
    { type: 'block-dirty-bitmap-remove', data: { node, name } }))
  if (base === undefined) return remove
  const unsealed = others.filter(({ pointId }) => !sealed.includes(pointId))
  const merge = unsealed.length === 0 ? [] : [{
    type: 'block-dirty-bitmap-merge',
    data: { node, target: base.name, bitmaps: unsealed.map(({ name }) => name) },
  }]
  const enable = base.isRecording ? []
    : [{ type: 'block-dirty-bitmap-enable', data: { node, name: base.name } }]
  return [...merge, ...enable, ...remove]
}

function wordsFor(
  { own, hasForeign }: NodeBitmaps, base: Bitmap | undefined, { sealed }: TrackingRequest,
): DiskBase {
  if (base !== undefined) return { since: base.pointId }
  if (own.some(({ isInconsistent }) => isInconsistent)) return { full: 'bitmap-inconsistent' }
  if (own.length > 0) return { full: 'base-gone' }
  if (hasForeign && sealed.length === 0) return { full: 'other-repository' }
  return { full: sealed.length === 0 ? 'first-backup' : 'bitmap-gone' }
}
