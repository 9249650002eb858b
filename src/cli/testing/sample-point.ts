/** A restore point as the catalog gives it, for tests of what is shown. */

import type { RestorePoint } from '../../catalog/mod.ts'
import { sampleSeal } from '../../catalog/testing/mod.ts'
import {
  gradeOf, heldMs, stalledMs, type Evidence, type Verdict, type VerdictStatement,
} from '../../consistency/mod.ts'
import { SAMPLE_POINT_ID, sampleEvidence } from '../../consistency/testing/mod.ts'
import { blobIdOf, fileIdOf, type FileId } from '../../repository/mod.ts'

export const SAMPLE_SNAPSHOT_ID: FileId = fileIdOf(new TextEncoder().encode('a snapshot'))

/** Of `sampleEvidence(changes)`; the tag claims what the evidence supports. */
export function samplePoint(changes: Partial<Evidence> = {}): RestorePoint {
  const evidence = sampleEvidence(changes)
  const result = gradeOf(evidence)
  const cut = { chunkBytes: 512 * 1024, segmentBytes: 256 * 1024 * 1024 }
  const disks = evidence.instant.disks.map((disk) =>
    ({ ...disk, ...cut, treeId: blobIdOf(new TextEncoder().encode(disk.id)) }))
  return {
    state: 'readable',
    pointId: SAMPLE_POINT_ID,
    snapshotId: SAMPLE_SNAPSHOT_ID,
    timeMs: Date.parse(evidence.instant.takenAt),
    machine: {
      version: 1, name: 'db1', platform: 'qemu', architecture: 'x86_64', cpuCount: 2,
      memoryBytes: 2 ** 31, firmware: 'uefi', nics: [],
      disks: evidence.instant.disks.map((disk) => ({ ...disk, ...cut, bus: 'virtio' as const })),
    },
    evidence, result,
    seal: sampleSeal(evidence),
    claimed: result.grade,
    heldMs: heldMs(evidence.hold),
    stalledMs: stalledMs(evidence.hold),
    sizeBytes: disks.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    bytesAdded: 300 * 1024 * 1024,
    disks,
    documents: [],
  }
}

/** On `samplePoint()`, an hour after it was taken. */
export function sampleVerdict(verdict: Verdict['verdict']): VerdictStatement {
  const { seal, pointId, machine: { name: machine } } = samplePoint()
  const application = { kind: 'application', subject: 'redis' } as const
  const isRefuted = verdict === 'refuted'
  return {
    kind: 'verdict', pointId, digest: seal.digest, machine,
    repositoryId: seal.statement.repositoryId, checkedAt: '2026-08-01T11:00:00Z',
    verdict: {
      verdict, grade: 'application', effective: isRefuted ? 'crash' : 'application',
      checks: [{
        name: 'image', claim: { kind: 'file-system', subject: '/data' },
        ...isRefuted ? { answer: 'contradicts', detail: 'vda1: needs_recovery is set' }
          : { answer: 'confirms', detail: 'vda1: needs_recovery is not set' },
      }, { name: 'image', claim: application, answer: 'silent', detail: 'not looked into' }],
      open: [application],
    },
  }
}
