/** The grade that a backup would get if every step went well: for `doctor` and a first run. */

import type {
  ApplicationsEvidence, Evidence, FileSystemList, HoldEvidence, VolumeEvidence, WriterEvidence,
  WriterHold,
} from './evidence.ts'
import { gradeOf, type GradeResult } from './grade.ts'
import { expectedCount, placeOf, unionOf } from './guest-mounts.ts'
import { observedDocuments } from './observed.ts'
import type { Freezing, ProviderSurvey } from './provider.ts'
import type { PreparedWriter } from './writer.ts'

/** What is known before the hold. */
export interface Prospect extends ProviderSurvey {
  readonly excludes: readonly string[]
  /** With what the writers would do as if they had done it. */
  readonly applications: ApplicationsEvidence
}

/**
 * Grades the evidence of an ideal run: all that the agent lists freezes, thaws and lies where it
 * says, no file system is hidden from it, nothing takes time. A real run can only be weaker, but
 * for a machine that is off, of whose disks nothing is known yet.
 */
export function predictGrade(prospect: Prospect): GradeResult {
  const { freezing } = prospect
  const list: FileSystemList = 'by' in freezing && freezing.by === 'agent'
    ? freezing.fileSystems : { state: 'unavailable', reason: 'not asked' }
  return gradeOf({
    ...IDEAL,
    power: { before: prospect.power, after: prospect.power },
    hold: idealHold(freezing),
    instant: { ...IDEAL.instant, disks: prospect.disks },
    fileSystems: {
      before: list,
      after: list,
      probes: prospect.disks.map(({ id }) => ({ diskId: id, state: 'probed' })),
      volumes: idealVolumes(prospect, list),
    },
    coverage: { leftOut: prospect.leftOut, excludes: prospect.excludes, rechecked: true },
    applications: prospect.applications,
    reading: {
      state: 'finished', instant: { intact: true },
      disks: prospect.disks.map(({ id }) => ({
        diskId: id, bytesRead: 0, base: { full: 'asked-for' as const } })),
    },
  })
}

const IDEAL: Evidence = {
  version: 1,
  pointId: '00000000-0000-0000-0000-000000000000',
  machine: { name: '', platform: '' },
  observedBy: { program: '', version: '' },
  startedAt: '',
  power: { before: 'running', after: 'running' },
  hold: { by: 'nobody', reason: 'declined', detail: '' },
  instant: { method: '', oneInstant: true, startMs: 0, endMs: 0, takenAt: '', disks: [] },
  fileSystems: {
    before: { state: 'listed', fileSystems: [] }, after: { state: 'listed', fileSystems: [] },
    probes: [], volumes: [],
  },
  coverage: { leftOut: [], excludes: [], rechecked: true },
  applications: { declaredNone: false, discovery: { state: 'impossible', reason: '' } },
  reading: { state: 'unfinished' },
  policy: { require: 'crash', origin: 'operator', onWeaker: 'keep' },
}

/** What a prepared writer does if every step goes well. */
export function idealWriter({ contract, limits }: PreparedWriter): WriterEvidence {
  const statement = 'expected'
  const hold: WriterHold = {
    limitMs: limits.holdMs,
    freeze: {
      state: 'acknowledged', issuedMs: 0, acknowledgedMs: 0, statement,
      positions: { beforeCheckpoint: statement, atFreeze: statement },
    },
    thaw: {
      state: 'thawed', issuedMs: 0, acknowledgedMs: 0, heldThroughout: true, statement },
  }
  return contract.kind === 'held' ? { contract: 'held', ...hold }
    : { contract: 'recoverable', durability: contract.durability, ...hold }
}

function idealHold(freezing: Freezing): HoldEvidence {
  if (!('by' in freezing)) {
    return { by: 'nobody', reason: freezing.missing, detail: freezing.detail }
  }
  if (freezing.by === 'platform') {
    const { expected } = freezing
    if (expected !== undefined) {
      const { claimed, documents, session } = expected
      return { by: 'platform', claimed, documents: observedDocuments(documents),
        ...session === undefined ? {} : { session } }
    }
    const shows = freezing.level === 'none' ? 'nothing' : freezing.level
    return {
      by: 'platform', claimed: freezing.level,
      documents: [{ name: 'expected', text: 'expected', shows }],
    }
  }
  const list = freezing.fileSystems
  const count = list.state === 'listed' ? expectedCount(list.fileSystems) : 1
  return {
    by: 'requestor', agent: '', limits: { freezeMs: 0, holdMs: 0, thawMs: 0 },
    freeze: { state: 'acknowledged', issuedMs: 0, acknowledgedMs: 0, count },
    thaw: { state: 'thawed', issuedMs: 0, acknowledgedMs: 0, count, early: false },
  }
}

/** The volumes that would bear the list out; behind a platform one that nothing is known of. */
function idealVolumes(prospect: Prospect, list: FileSystemList): readonly VolumeEvidence[] {
  const common = { sign: 'silent', hibernation: 'none', where: '', detail: '' } as const
  if ('by' in prospect.freezing && prospect.freezing.by === 'platform') {
    return prospect.disks.map(({ id }) => ({
      ...common, diskIds: [id], layer: 'disk', partition: null, type: 'unknown',
      role: 'file-system',
    }))
  }
  return unionOf([list]).filter(({ diskIds }) => diskIds.length > 0).map((entry) => ({
    ...common, diskIds: entry.diskIds, type: entry.type, role: 'file-system',
    ...placeOf(entry.device) ?? { layer: 'mapped', partition: null },
  }))
}
