/** Evidence for tests: one record that shows all, to be spoilt, and arbitrary ones. */

import type {
  ApplicationEvidence, Evidence, RequestorHold, VolumeEvidence, WriterEvidence, WriterHold,
} from '../evidence.ts'
import type { GuestFileSystem } from '../freezer.ts'

export const SAMPLE_POINT_ID = '0b5e7a52-3f0e-4b8c-9a3d-2f6f1f0c7d11'

/** `/` on the second partition of vda, whose first is the ESP; `/srv` on all of vdb. */
export const SAMPLE_MOUNTS: readonly GuestFileSystem[] = [
  { mountpoint: '/', type: 'ext4', device: 'vda2', diskIds: ['vda'] },
  { mountpoint: '/boot/efi', type: 'vfat', device: 'vda1', diskIds: ['vda'] },
  { mountpoint: '/srv', type: 'btrfs', device: 'vdb', diskIds: ['vdb'] },
]

export function sampleVolume(changes: Partial<VolumeEvidence> = {}): VolumeEvidence {
  return {
    diskIds: ['vda'], where: 'partition 2', layer: 'partition', partition: 2, type: 'ext',
    role: 'file-system', sign: 'clean', hibernation: 'none', detail: 'needs_recovery is not set',
    ...changes,
  }
}

export const SAMPLE_VOLUMES: readonly VolumeEvidence[] = [
  sampleVolume(),
  sampleVolume({
    where: 'partition 1', partition: 1, type: 'vfat', role: 'esp', sign: 'silent', detail: '' }),
  sampleVolume({
    diskIds: ['vdb'], where: 'whole disk', layer: 'disk', partition: null, type: 'btrfs',
    sign: 'silent', detail: 'log_root is 0' }),
]

export const SAMPLE_WRITER_HOLD: WriterHold = {
  limitMs: 2000,
  freeze: {
    state: 'acknowledged', issuedMs: 900, acknowledgedMs: 990, statement: 'locked',
    positions: { beforeCheckpoint: '0/1000028', atFreeze: '0/1000060' },
  },
  thaw: {
    state: 'thawed', issuedMs: 1060, acknowledgedMs: 1070, heldThroughout: true,
    statement: 'unlocked',
  },
}

export function sampleApplication(
  changes: Partial<ApplicationEvidence> = {}): ApplicationEvidence {
  return {
    name: 'redis', kind: 'protected', recovery: 'self',
    data: { state: 'located', diskIds: ['vdb'] },
    writer: { contract: 'held', ...SAMPLE_WRITER_HOLD },
    ...changes,
  }
}

export const SAMPLE_RECOVERABLE: WriterEvidence = {
  contract: 'recoverable', ...SAMPLE_WRITER_HOLD,
  durability: { state: 'safe', settings: 'fsync=on' },
}

export const SAMPLE_HOLD: RequestorHold = {
  by: 'requestor',
  agent: 'qemu-ga 7.2.22',
  limits: { freezeMs: 30_000, holdMs: 1000, thawMs: 10_000 },
  freeze: { state: 'acknowledged', issuedMs: 1000, acknowledgedMs: 1020, count: 2 },
  thaw: { state: 'thawed', issuedMs: 1050, acknowledgedMs: 1055, count: 2, early: false },
}

/** A running machine with two disks and one application, all shown: grade `application`. */
export function sampleEvidence(changes: Partial<Evidence> = {}): Evidence {
  return {
    version: 1,
    pointId: SAMPLE_POINT_ID,
    machine: { name: 'db1', platform: 'qemu' },
    observedBy: { program: 'stillpoint', version: '0.1.0' },
    startedAt: '2026-08-01T10:00:00Z',
    power: { before: 'running', after: 'running' },
    hold: SAMPLE_HOLD,
    instant: {
      method: 'qmp-transaction', oneInstant: true, startMs: 1030, endMs: 1040,
      takenAt: '2026-08-01T10:00:01.040Z',
      disks: [{ id: 'vda', sizeBytes: 1 << 30 }, { id: 'vdb', sizeBytes: 1 << 20 }],
    },
    fileSystems: {
      before: { state: 'listed', fileSystems: SAMPLE_MOUNTS },
      after: { state: 'listed', fileSystems: SAMPLE_MOUNTS },
      probes: [{ diskId: 'vda', state: 'probed' }, { diskId: 'vdb', state: 'probed' }],
      volumes: SAMPLE_VOLUMES,
    },
    coverage: { leftOut: [], excludes: [], rechecked: true },
    applications: {
      declaredNone: false,
      discovery: { state: 'done', by: 'a test', applications: [sampleApplication()] },
    },
    reading: {
      state: 'finished', instant: { intact: true },
      disks: [
        { diskId: 'vda', bytesRead: 1 << 30, base: { full: 'first-backup' } },
        { diskId: 'vdb', bytesRead: 1 << 20, base: { since: SAMPLE_POINT_ID } },
      ],
    },
    policy: { require: 'application', origin: 'best-so-far', onWeaker: 'keep' },
    ...changes,
  }
}
