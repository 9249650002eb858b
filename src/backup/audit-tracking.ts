/**
 * Holds what a platform says of changes against the disks themselves, without making a backup.
 *
 * The sample of each backup is small, so that it costs nothing. This one is as large as is wished,
 * up to all of what is said to be unchanged, and what it finds is kept: a signed verdict on the
 * point that the changes are told since, after which the next backup reads all.
 */

import { mapBounded } from '../base/bounded.ts'
import { isoTime } from '../base/clock.ts'
import { uuid, type RandomBytes } from '../base/random.ts'
import {
  latestVerdict, NO_PINS, readCatalog, storeRecord, type Catalog, type PointDisk,
  type RestorePoint,
} from '../catalog/mod.ts'
import {
  holdAndCommit, trackingCheck, TRACKING_CHECK, verdictOf, type CommittedSet, type FullReason,
  type PreparedSet, type TrackingFinding, type Verdict,
} from '../consistency/mod.ts'
import { endOf, type BlockSource, type Range } from '../disk/mod.ts'
import { openDiskImage, type RepositoryLock } from '../repository/mod.ts'
import type { BackupRequest } from './backup-request.ts'
import { planDisk, sealedPoints, type PlannedDisk } from './disk-bases.ts'
import { trustedBy } from './next-place.ts'

export interface AuditRequest extends Pick<BackupRequest,
  'repository' | 'platform' | 'machine' | 'exclude' | 'limits' | 'programVersion' | 'signer' |
  'pins' | 'random' | 'clock'> {
  /** How much of what is said to be unchanged is compared: over 0, up to 1. */
  readonly share: number
  /** Told now and then, in bytes of all disks that are audited. */
  readonly onProgress: (done: number, total: number) => void
}

export interface TrackingAudit {
  readonly machine: string
  readonly disks: readonly AuditedDisk[]
  /** Verdicts that were stored, on points that changes were told since and missed. */
  readonly verdicts: readonly AuditVerdict[]
  readonly durationMs: number
}

export interface AuditVerdict {
  readonly point: RestorePoint
  readonly verdict: Verdict
}

export type AuditedDisk = { readonly id: string; readonly sizeBytes: number } & (
  /** Nothing to hold to its word: the next backup would read all in any case. */
  | { readonly unaudited: FullReason }
  | ({ readonly since: string; readonly changedBytes: number; readonly comparedBytes: number } &
      Pick<TrackingFinding, 'compared' | 'differing' | 'firstOffset' | 'isIncrement'>))

/** So many are compared at least, however small the share. */
const LEAST_CHUNKS = 64
const IN_FLIGHT = 4

/**
 * Takes the machine's disks at one instant with nothing held, reads and compares, and lets the
 * instant go; the tracking is as it was before. That changes were missed is no fault.
 * Faults: those of the repository, the platform and the provider.
 */
export async function auditTracking(
  request: AuditRequest, signal: AbortSignal): Promise<TrackingAudit> {
  const { repository, platform, clock } = request
  const startMs = clock.monotonicMs()
  await using lock = await repository.lock('shared', signal)
  const running = AbortSignal.any([signal, lock.lost])
  const catalog = await readCatalog(repository, running, request.pins)
  const { machine } = await platform.describe(request.machine, running)
  const points = sealedPoints(catalog.points, machine.name, trustedBy(request))
  await using prepared = await platform.provider(request.machine).prepare({
    pointId: uuid(request.random), exclude: request.exclude, isAudit: true,
    tracking: { repositoryId: repository.id, sealed: points.map(({ pointId }) => pointId) },
  }, running)
  const plans = new Map<string, PlannedDisk>()
  for (const disk of prepared.disks) {
    plans.set(disk.id, await planDisk({ repository, points, records: catalog.records },
      disk, prepared.tracking, false, running))
  }
  const disks = await auditSet(request, prepared, { plans, points }, running)
  const verdicts = await storeVerdicts(request, { disks, points, catalog, lock }, running)
  return { machine: machine.name, disks, verdicts, durationMs: clock.monotonicMs() - startMs }
}

interface AuditPlan {
  /** By disk id. */
  readonly plans: ReadonlyMap<string, PlannedDisk>
  readonly points: readonly RestorePoint[]
}

async function auditSet(
  request: AuditRequest, set: PreparedSet, { plans, points }: AuditPlan, signal: AbortSignal,
): Promise<readonly AuditedDisk[]> {
  const based = set.disks.filter(({ id }) => plans.get(id)?.stored !== undefined)
  const committed = based.length === 0 ? undefined : (await holdAndCommit({
    set, writers: [], limits: request.limits, mayFreeze: false,
    whenFreezeFails: 'commit-anyway', clock: request.clock, note: () => {},
  }, signal)).committed
  const total = based.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  let before = 0
  const audited: AuditedDisk[] = []
  for (const disk of set.disks) {
    const { base, stored } = plans.get(disk.id) ?? { base: { full: 'not-tracked' as const } }
    const lost = committed?.lostBases?.get(disk.id)
    if (committed === undefined || stored === undefined || 'full' in base || lost !== undefined) {
      audited.push({ ...disk, unaudited: lost ?? ('full' in base ? base.full : 'not-tracked') })
      continue
    }
    const found = await auditDisk(request, committed, disk.id, stored, (done) =>
      { request.onProgress(before + done, total) }, signal)
    before += disk.sizeBytes
    const point = points.find(({ pointId }) => pointId === base.since)
    audited.push({ ...disk, since: base.since, ...found,
      isIncrement: point !== undefined && wasIncrement(point, disk.id) })
  }
  const intact = await committed?.stillIntact(signal)
  // Of an instant that was lost meanwhile no difference means anything.
  if (intact !== undefined && 'broken' in intact) {
    return audited.map(({ id, sizeBytes }) => ({ id, sizeBytes, unaudited: 'changes-refused' }))
  }
  return audited
}

function wasIncrement({ evidence: { reading } }: RestorePoint, diskId: string): boolean {
  return reading.state === 'finished' &&
    reading.disks.some((disk) => disk.diskId === diskId && 'since' in disk.base)
}

type DiskFinding = Omit<Extract<AuditedDisk, { since: string }>,
  'id' | 'sizeBytes' | 'since' | 'isIncrement'>

async function auditDisk(
  { repository, random, share }: AuditRequest, committed: CommittedSet, diskId: string,
  stored: PointDisk, onDone: (bytes: number) => void, signal: AbortSignal,
): Promise<DiskFinding> {
  await using source = await committed.open(diskId, signal)
  await using image = openDiskImage(repository, stored.treeId, stored)
  const chunks = Math.ceil(stored.sizeBytes / stored.chunkBytes)
  const least = Math.min(1, LEAST_CHUNKS / Math.max(1, chunks))
  let changedBytes = 0
  const onChanged = (bytes: number): void => { changedBytes += bytes }
  const sampled = sample(unchangedChunks(source, stored, onChanged, signal),
    Math.max(share, least), random)
  const isSame = async (chunk: Range): Promise<{ chunk: Range; same: boolean }> => {
    const [now, then] = [
      await source.read(chunk.offset, chunk.length, signal),
      await image.read(chunk.offset, chunk.length, signal)]
    return { chunk, same: Buffer.compare(now, then) === 0 }
  }
  const found = { compared: 0, comparedBytes: 0, differing: 0, firstOffset: 0 }
  for await (const { chunk, same } of mapBounded(sampled, { inFlight: IN_FLIGHT }, isSame)) {
    found.compared++
    found.comparedBytes += chunk.length
    if (!same && found.differing++ === 0) found.firstOffset = chunk.offset
    onDone(endOf(chunk))
  }
  return { ...found, changedBytes }
}

/** The chunks of which nothing is said to have changed, in order. */
async function* unchangedChunks(
  source: BlockSource, { sizeBytes, chunkBytes }: PointDisk, onChanged: (bytes: number) => void,
  signal: AbortSignal,
): AsyncGenerator<Range, void, undefined> {
  let at = 0
  for await (const changed of source.changes?.({ offset: 0, length: sizeBytes }, signal) ?? []) {
    onChanged(changed.length)
    for (; at + chunkBytes <= changed.offset; at += chunkBytes) {
      yield { offset: at, length: chunkBytes }
    }
    at = Math.max(at, Math.ceil(endOf(changed) / chunkBytes) * chunkBytes)
  }
  for (; at < sizeBytes; at += chunkBytes) {
    yield { offset: at, length: Math.min(chunkBytes, sizeBytes - at) }
  }
}

/** Each of them with the probability `share`. */
async function* sample(
  chunks: AsyncIterable<Range>, share: number, random: RandomBytes,
): AsyncGenerator<Range, void, undefined> {
  for await (const chunk of chunks) {
    if (share >= 1 || Buffer.from(random(4)).readUInt32LE() < share * 2 ** 32) yield chunk
  }
}

interface Recording {
  readonly disks: readonly AuditedDisk[]
  readonly points: readonly RestorePoint[]
  readonly catalog: Catalog
  readonly lock: RepositoryLock
}

/** One verdict for each point that changes since were missed; other checks of it stand. */
async function storeVerdicts(
  request: AuditRequest, { disks, points, catalog, lock }: Recording, signal: AbortSignal,
): Promise<readonly AuditVerdict[]> {
  const { repository, signer, programVersion, clock } = request
  const verdicts: AuditVerdict[] = []
  for (const point of points) {
    const checks = disks.flatMap((disk) =>
      'since' in disk && disk.since === point.pointId && disk.differing > 0
        ? [trackingCheck({ diskId: disk.id, ...disk })] : [])
    if (checks.length === 0) continue
    const earlier = latestVerdict(catalog, point.seal, NO_PINS)?.verdict.checks ?? []
    const isReplaced = ({ name, claim }: typeof checks[number]): boolean =>
      name === TRACKING_CHECK && checks.some((it) => it.claim.subject === claim.subject)
    const verdict = verdictOf(
      point.result, [...earlier.filter((check) => !isReplaced(check)), ...checks])
    await storeRecord(repository, {
      statement: {
        kind: 'verdict', pointId: point.pointId, digest: point.seal.digest,
        repositoryId: repository.id, machine: point.machine.name,
        checkedAt: isoTime(clock.nowMs()), verdict,
      },
      signer, lock, programVersion,
    }, signal)
    verdicts.push({ point, verdict })
  }
  return verdicts
}
