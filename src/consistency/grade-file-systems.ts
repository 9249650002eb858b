/**
 * How each expected file system is accounted for (docs/grades.md).
 *
 * Expected is what was found on the captured disks, joined with what the agent lists before and
 * after: neither alone is enough, since an agent does not see other mount namespaces, and a probe
 * does not see through every container.
 */

import { printable } from '../base/text.ts'
import { unreachable } from '../base/unreachable.ts'
import type { Evidence, VolumeEvidence } from './evidence.ts'
import type { GuestFileSystem } from './freezer.ts'
import { isProbed, nameOf } from './grade-hold.ts'
import {
  isNeverFrozen, isReadOnly, matchVolumes, proofOfCount, unionOf, type CountProof,
} from './guest-mounts.ts'
import { reason, type GradeReason, type ReasonCode } from './reasons.ts'

/** The classes of docs/grades.md. */
export type FileSystemClass =
  | 'acknowledged' | 'image-frozen' | 'unfreezable' | 'read-only' | 'unmounted' | 'unexplained'

export interface ClassifiedFileSystem {
  /** `/srv (xfs on vdb1)`, printable. */
  readonly name: string
  readonly class: FileSystemClass
  /** Why it is unexplained, or what to remark of it. */
  readonly reason: GradeReason | undefined
  /** The volume on the captured disks that it is; undefined where the probe saw none. */
  readonly volume: VolumeEvidence | undefined
}

/** Where the loader and the kernel lie: vfat there is written at updates only. */
const BOOT_MOUNTS: ReadonlySet<string> = new Set(['/boot', '/boot/efi', '/efi'])

/** Strong signs first: an entry that could be one of two volumes never covers the weaker one. */
const SIGN_ORDER = { frozen: 0, clean: 1, silent: 2, 'in-use': 3 } as const

/** All expected file systems of the captured disks. Call it only where the hold is in order. */
export function classifyFileSystems(evidence: Evidence): readonly ClassifiedFileSystem[] {
  const volumes = evidence.fileSystems.volumes
    .filter((volume) => volume.role !== 'swap')
    .toSorted((a, b) => SIGN_ORDER[a.sign] - SIGN_ORDER[b.sign])
  const captured = new Set(evidence.instant.disks.map(({ id }) => id))
  switch (evidence.hold.by) {
    case 'nobody': return []
    case 'platform': return volumes.map((volume) =>
      partlyLeftOut(volume, captured) ?? classifyPlatformHeld(volume))
    case 'requestor': return classifyListed(evidence, volumes, captured)
    default: return unreachable(evidence.hold)
  }
}

/** Those of a machine that was shut down, all of which are at rest. */
export function fileSystemsAtRest({ fileSystems }: Evidence): readonly ClassifiedFileSystem[] {
  return fileSystems.volumes.filter(({ role }) => role === 'file-system').map((volume) =>
    ({ name: printable(nameOf(volume)), class: 'unmounted', reason: undefined, volume }))
}

/** Why not every expected file system is accounted for, then the remarks. */
export function fileSystemReasons(
  evidence: Evidence, classified: readonly ClassifiedFileSystem[]): readonly GradeReason[] {
  const { instant, fileSystems, hold } = evidence
  const reasons = instant.disks.filter(({ id }) => !isProbed(fileSystems, id))
    .map(({ id }) => reason('disk-not-probed', id))
  if (hold.by === 'requestor') {
    const missing = [fileSystems.before, fileSystems.after].find((it) => it.state !== 'listed')
    if (missing?.state === 'unavailable') {
      reasons.push(reason('file-systems-unlisted', missing.reason))
    }
  }
  reasons.push(...classified.flatMap((it) => it.reason ?? []))
  if (!classified.some((it) => it.class === 'acknowledged' || it.class === 'image-frozen')) {
    reasons.push(reason('no-file-system-held'))
  }
  return reasons
}

/** The platform froze what it can; only the disks could contradict it. */
function classifyPlatformHeld(volume: VolumeEvidence): ClassifiedFileSystem {
  const name = printable(nameOf(volume))
  if (volume.sign === 'in-use') return unexplained(name, 'image-contradicts', volume)
  if (volume.role === 'opaque') return remarked(name, 'acknowledged', 'contents-hidden', volume)
  if (volume.role === 'esp') return remarked(name, 'unfreezable', 'boot-not-frozen', volume)
  if (volume.type === 'vfat') return unexplained(name, 'unfreezable', volume)
  const isShown = volume.sign === 'frozen' || volume.sign === 'clean'
  return { name, class: isShown ? 'image-frozen' : 'acknowledged', reason: undefined, volume }
}

function classifyListed(
  { hold, fileSystems }: Evidence, volumes: readonly VolumeEvidence[],
  captured: ReadonlySet<string>,
): readonly ClassifiedFileSystem[] {
  const entries = unionOf([fileSystems.before, fileSystems.after])
    .filter(({ diskIds }) => diskIds.length === 0 || diskIds.some((id) => captured.has(id)))
  const count = hold.by === 'requestor' && hold.freeze.state === 'acknowledged'
    ? hold.freeze.count : 0
  const proof = proofOfCount(fileSystems.before, fileSystems.after, count)
  const open = volumes.filter((volume) => volume.role !== 'opaque')
  const match = matchVolumes(open, entries)
  const matched = new Set(match)
  const hiddenEntries = entries.filter((entry) => !matched.has(entry))
  return [
    ...open.map((volume, at) => {
      const entry = match[at]
      return entry === undefined
        ? partlyLeftOut(volume, captured) ?? classifyUnlisted(volume)
        : classifyMounted(entry, volume, proof, captured)
    }),
    ...hiddenEntries.map((entry) => mayHide(entry, volumes)
      ? classifyMounted(entry, undefined, proof, captured)
      : unexplained(mountName(entry), 'not-on-disk', undefined)),
    ...volumes.filter((volume) => volume.role === 'opaque')
      .map((volume) =>
        partlyLeftOut(volume, captured) ?? classifyOpaque(volume, hiddenEntries, proof)),
  ]
}

/** A file system that the agent lists, with the volume it is, if the probe found that. */
function classifyMounted(
  entry: GuestFileSystem, volume: VolumeEvidence | undefined, proof: CountProof,
  captured: ReadonlySet<string>,
): ClassifiedFileSystem {
  const name = mountName(entry)
  if (liesElsewhere([...entry.diskIds, ...volume?.diskIds ?? []], captured)) {
    return unexplained(name, 'spans-left-out-disk', volume)
  }
  if (isReadOnly(entry)) return { name, class: 'read-only', reason: undefined, volume }
  if (isNeverFrozen(entry)) {
    const isBoot = entry.type === 'vfat' &&
      (volume?.role === 'esp' || BOOT_MOUNTS.has(entry.mountpoint))
    return isBoot
      ? remarked(name, 'unfreezable', 'boot-not-frozen', volume)
      : unexplained(name, 'unfreezable', volume)
  }
  if (volume?.sign === 'in-use') return unexplained(name, 'image-contradicts', volume)
  if (proof === 'all-frozen') return { name, class: 'acknowledged', reason: undefined, volume }
  if (volume?.sign === 'frozen' || volume?.sign === 'clean') {
    return { name, class: 'image-frozen', reason: undefined, volume }
  }
  return unexplained(
    name, proof === 'lists-differ' ? 'file-systems-changed' : 'freeze-count-differs', volume)
}

/** What lies partly on a disk that was left out is of no instant, whatever its signs say. */
function partlyLeftOut(
  volume: VolumeEvidence, captured: ReadonlySet<string>): ClassifiedFileSystem | undefined {
  return liesElsewhere(volume.diskIds, captured)
    ? unexplained(printable(nameOf(volume)), 'spans-left-out-disk', volume) : undefined
}

function liesElsewhere(diskIds: readonly string[], captured: ReadonlySet<string>): boolean {
  return diskIds.some((id) => !captured.has(id))
}

function mountName({ mountpoint, type, device }: GuestFileSystem): string {
  return printable(`${mountpoint} (${type} on ${device})`)
}

/**
 * Whether what the agent lists may be where the probe did not see it: in a container, or on a
 * device of which the agent gives no disk (a loop device, a network disk of the guest's own).
 */
function mayHide({ diskIds }: GuestFileSystem, volumes: readonly VolumeEvidence[]): boolean {
  return diskIds.length === 0 || volumes.some((volume) =>
    volume.role === 'opaque' && volume.diskIds.some((id) => diskIds.includes(id)))
}

/** A volume that the agent does not list: only the disk can say that nothing was pending. */
function classifyUnlisted(volume: VolumeEvidence): ClassifiedFileSystem {
  const name = printable(nameOf(volume))
  switch (volume.sign) {
    case 'frozen': return { name, class: 'image-frozen', reason: undefined, volume }
    case 'clean': return { name, class: 'unmounted', reason: undefined, volume }
    case 'in-use': return volume.role === 'esp'
      ? remarked(name, 'unfreezable', 'boot-not-frozen', volume)
      : unexplained(name, 'not-listed-in-use', volume)
    case 'silent': return volume.role === 'esp'
      ? remarked(name, 'unfreezable', 'boot-not-frozen', volume)
      : unexplained(name, 'not-listed-silent', volume)
    default: return unreachable(volume.sign)
  }
}

/** A container is explained by a frozen file system on its disk that no open volume is. */
function classifyOpaque(
  volume: VolumeEvidence, hiddenEntries: readonly GuestFileSystem[], proof: CountProof,
): ClassifiedFileSystem {
  const name = printable(nameOf(volume))
  const inside = hiddenEntries.some((entry) =>
    !isNeverFrozen(entry) && volume.diskIds.some((id) => entry.diskIds.includes(id)))
  return inside && proof === 'all-frozen'
    ? remarked(name, 'acknowledged', 'contents-hidden', volume)
    : unexplained(name, 'contents-unexplained', volume)
}

function unexplained(
  name: string, code: ReasonCode, volume: VolumeEvidence | undefined): ClassifiedFileSystem {
  return { name, class: 'unexplained', reason: reason(code, name), volume }
}

function remarked(
  name: string, kind: FileSystemClass, code: ReasonCode, volume: VolumeEvidence | undefined,
): ClassifiedFileSystem {
  return { name, class: kind, reason: reason(code, name), volume }
}
