/**
 * Arbitrary evidence for property tests: valid by the codec, drawn from domains so small that
 * disks, devices and counts meet; half of the time the sample with parts exchanged, so that strong
 * grades occur.
 */

import fc from 'fast-check'
import type { DiskBase } from '../change-tracking.ts'
import type {
  ApplicationEvidence, Evidence, FileSystemList, HoldEvidence, VolumeEvidence, WriterEvidence,
} from '../evidence.ts'
import type { GuestFileSystem } from '../freezer.ts'
import {
  SAMPLE_HOLD, SAMPLE_MOUNTS, SAMPLE_POINT_ID, SAMPLE_RECOVERABLE, SAMPLE_VOLUMES,
  SAMPLE_WRITER_HOLD, sampleApplication, sampleEvidence,
} from './sample-evidence.ts'

const ms = fc.integer({ min: 980, max: 1080 })
const count = fc.integer({ min: 0, max: 4 })
const text = fc.constantFrom('', 'text', '\u001b[31m')
const diskId = fc.constantFrom('vda', 'vdb', 'vdc')
const diskIds = fc.uniqueArray(diskId, { maxLength: 2 })
const fault = fc.record({ code: fc.constant('freeze-failed'), message: text })
const yes = fc.boolean()

const mount: fc.Arbitrary<GuestFileSystem> = fc.oneof(
  fc.constantFrom(...SAMPLE_MOUNTS),
  fc.record({
    mountpoint: fc.constantFrom('/', '/boot', '/data'),
    type: fc.constantFrom('ext4', 'btrfs', 'xfs', 'vfat', 'nfs4', 'squashfs', 'odd'),
    device: fc.constantFrom('vda1', 'vda2', 'vdb', 'vdc', 'dm-0', 'loop0', ''),
    diskIds,
  }))

const list: fc.Arbitrary<FileSystemList> = fc.oneof(
  fc.constant<FileSystemList>({ state: 'listed', fileSystems: SAMPLE_MOUNTS }),
  fc.record({
    state: fc.constant('listed' as const), fileSystems: fc.array(mount, { maxLength: 4 }) }),
  fc.record({ state: fc.constant('unavailable' as const), reason: text }))

const sign = fc.constantFrom('frozen', 'clean', 'in-use', 'silent')

const volume: fc.Arbitrary<VolumeEvidence> = fc.oneof(
  fc.constantFrom(...SAMPLE_VOLUMES),
  fc.record({ base: fc.constantFrom(...SAMPLE_VOLUMES), sign })
    .map(({ base, sign }): VolumeEvidence => ({ ...base, sign })),
  fc.record({
    diskIds: fc.uniqueArray(diskId, { minLength: 1, maxLength: 2 }),
    where: text,
    layer: fc.constantFrom('disk', 'partition', 'mapped'),
    partition: fc.constantFrom(null, 1, 2),
    type: fc.constantFrom('ext', 'btrfs', 'xfs', 'vfat', 'lvm2', 'odd'),
    role: fc.constantFrom('file-system', 'esp', 'swap', 'opaque'),
    sign,
    hibernation: fc.constantFrom('none', 'present', 'unknown'),
    detail: text,
  }))

const thaw = fc.oneof(
  fc.record({
    state: fc.constant('thawed' as const), issuedMs: ms, acknowledgedMs: ms,
    count: fc.option(count), early: yes }),
  fc.record({ state: fc.constant('not-frozen' as const), issuedMs: ms }),
  fc.record({ state: fc.constant('unknown' as const), issuedMs: ms, detail: text }))

const freeze = fc.oneof(
  fc.record({
    state: fc.constant('acknowledged' as const), issuedMs: ms, acknowledgedMs: ms, count }),
  fc.record({ state: fc.constant('failed' as const), issuedMs: ms, failedMs: ms, fault }))

const hold: fc.Arbitrary<HoldEvidence> = fc.oneof(
  fc.record({
    by: fc.constant('nobody' as const), reason: fc.constantFrom('agent-silent', 'declined'),
    detail: text }),
  fc.record({
    by: fc.constant('requestor' as const), agent: text,
    limits: fc.record({ freezeMs: ms, holdMs: fc.constantFrom(0, 30, 1000), thawMs: ms }),
    freeze: fc.oneof(fc.constant(SAMPLE_HOLD.freeze), freeze),
    thaw: fc.oneof(fc.constant(SAMPLE_HOLD.thaw), thaw) }),
  fc.record({
    by: fc.constant('platform' as const),
    claimed: fc.constantFrom('application', 'filesystem', 'none'),
    documents: fc.uniqueArray(fc.record({
      name: fc.constantFrom('writers', 'components'), text: fc.constantFrom('', '<xml/>'),
      shows: fc.constantFrom('application', 'filesystem', 'nothing'),
    }), { selector: ({ name }) => name, maxLength: 2 }),
    session: fc.record({
      transport: text, statusOf: fc.constantFrom('this-session', 'unsure'),
      attributes: fc.constantFrom(0, 0x10, 0x400000) }),
  }, { requiredKeys: ['by', 'claimed', 'documents'] }))

const writerHold = fc.record({
  limitMs: fc.constantFrom(10, 2000),
  freeze: fc.oneof(fc.constant(SAMPLE_WRITER_HOLD.freeze), fc.record({
    state: fc.constant('failed' as const), issuedMs: ms, failedMs: ms, fault })),
  thaw: fc.oneof(fc.constant(SAMPLE_WRITER_HOLD.thaw), fc.record({
    state: fc.constant('thawed' as const), issuedMs: ms, acknowledgedMs: ms,
    heldThroughout: yes, statement: text })),
})

const vssState = fc.option(fc.record({
  state: fc.constantFrom(0, 1, 3, 5, 9, 11), failure: fc.constantFrom(0, 0x800423f4) }))

const vssSeen = fc.record({
  added: fc.constantFrom(0, 2), leftOut: fc.constantFrom(0, 1), afterSnapshot: vssState,
  afterComplete: vssState,
}, { requiredKeys: ['added', 'leftOut', 'afterSnapshot'] })

const writer: fc.Arbitrary<WriterEvidence> = fc.oneof(
  fc.constant(SAMPLE_RECOVERABLE),
  writerHold.map((hold): WriterEvidence => ({ contract: 'held', ...hold })),
  fc.record({
    contract: fc.constant('none' as const), reason: fc.constantFrom('no-writer', 'declined'),
    detail: text }),
  fc.record({
    contract: fc.constant('platform-stated' as const),
    state: fc.constantFrom('stable', 'failed', 'unknown'),
    metadataDocument: fc.constantFrom('writers', null),
    componentsDocument: fc.constantFrom('components', null),
    statement: fc.constantFrom('', 'state 5'), seen: vssSeen,
    guest: fc.constantFrom('online', 'saved') },
  { requiredKeys: [
    'contract', 'state', 'metadataDocument', 'componentsDocument', 'statement'] }))

const application: fc.Arbitrary<ApplicationEvidence> = fc.oneof(
  fc.constant(sampleApplication()),
  fc.record({
    name: fc.constantFrom('redis', 'postgres', 'other'),
    kind: fc.constantFrom('protected', 'incidental'),
    recovery: fc.constantFrom('self', 'none', 'unknown'),
    data: fc.oneof(
      fc.record({ state: fc.constant('located' as const), diskIds }),
      fc.record({
        state: fc.constant('located' as const), diskIds,
        places: fc.array(fc.record(
          { path: text, mountpoint: text, root: text },
          { requiredKeys: ['path', 'mountpoint'] }), { maxLength: 2 }) }),
      fc.record({ state: fc.constantFrom('outside', 'unknown'), detail: text })),
    writer }))

const instant = fc.record({
  method: text, oneInstant: fc.constantFrom(true, true, true, false),
  startMs: fc.constant(1030), endMs: ms,
  takenAt: fc.constant('2026-08-01T10:00:01Z'),
  disks: fc.uniqueArray(
    fc.record({ id: diskId, sizeBytes: fc.nat() }), { selector: ({ id }) => id, maxLength: 3 }),
})

const parts: { readonly [K in keyof Evidence]: fc.Arbitrary<Evidence[K]> } = {
  version: fc.constant(1),
  pointId: fc.constant(SAMPLE_POINT_ID),
  machine: fc.record({ name: text, platform: text }),
  observedBy: fc.record({ program: text, version: text }),
  startedAt: fc.constant('2026-08-01T10:00:00Z'),
  power: fc.record({
    before: fc.constantFrom('running', 'running', 'paused', 'saved', 'off'),
    after: fc.constantFrom('running', 'paused', 'saved', 'off', 'unknown') }),
  hold,
  instant,
  fileSystems: fc.record({
    before: list, after: list,
    probes: fc.array(fc.oneof(
      fc.record({ diskId, state: fc.constant('probed' as const) }),
      fc.record({ diskId, state: fc.constant('failed' as const), reason: text })),
    { maxLength: 3 }),
    volumes: fc.array(volume, { maxLength: 5 }) }),
  coverage: fc.record({
    leftOut: fc.array(fc.record({
      id: diskId, reason: fc.constantFrom('excluded', 'read-only', 'hot-added'), detail: text }),
    { maxLength: 2 }),
    excludes: fc.array(diskId, { maxLength: 2 }), rechecked: yes }),
  applications: fc.record({
    declaredNone: yes,
    discovery: fc.oneof(
      fc.record({ state: fc.constant('impossible' as const), reason: text }),
      fc.record({
        state: fc.constant('done' as const), by: text,
        applications: fc.uniqueArray(
          application, { selector: ({ name }) => name, maxLength: 3 }) })) }),
  reading: fc.oneof(
    fc.record({ state: fc.constant('unfinished' as const) }),
    fc.record({
      state: fc.constant('finished' as const),
      instant: fc.oneof(
        fc.constant({ intact: true } as const), fc.record({ broken: text })),
      disks: fc.array(fc.record({
        diskId, bytesRead: fc.nat(), base: fc.constantFrom<DiskBase>(
          { full: 'first-backup' }, { since: SAMPLE_POINT_ID }) }), { maxLength: 3 }) })),
  policy: fc.record({
    require: fc.constantFrom('application', 'filesystem', 'crash', 'torn'),
    origin: fc.constantFrom('operator', 'best-so-far', 'predicted'),
    onWeaker: fc.constantFrom('keep', 'fail') }),
}

/** Volumes and lists that mostly fit each other: the sample's, with one more or one spoilt. */
const nearlySampleFiles: fc.Arbitrary<Evidence['fileSystems']> = fc.record({
  more: fc.array(fc.record({ mount, volume }), { maxLength: 1 }),
  spoilt: fc.record({ at: fc.nat({ max: 5 }), sign }),
}).map(({ more, spoilt }) => {
  const fileSystems = [...SAMPLE_MOUNTS, ...more.map((it) => it.mount)]
  const volumes = [...SAMPLE_VOLUMES, ...more.map((it) => it.volume)]
  return {
    ...sampleEvidence().fileSystems,
    before: { state: 'listed', fileSystems }, after: { state: 'listed', fileSystems },
    volumes: volumes.map((volume, at) =>
      at === spoilt.at ? { ...volume, sign: spoilt.sign } : volume),
  }
})

const nearlySample: fc.Arbitrary<Evidence> = fc.record(
  { ...parts, fileSystems: fc.oneof(nearlySampleFiles, parts.fileSystems) },
  { requiredKeys: [] },
).chain((changes) => fc.subarray(keysOf(changes), { maxLength: 2 }).map((keys) => ({
  ...sampleEvidence(), ...Object.fromEntries(keys.map((key) => [key, changes[key]])) })))

function keysOf(changes: Partial<Evidence>): (keyof Evidence)[] {
  return Object.keys(changes) as (keyof Evidence)[]
}

export const anyEvidence: fc.Arbitrary<Evidence> = fc.oneof(fc.record(parts), nearlySample)
