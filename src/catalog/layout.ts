/** How a restore point lies in the repository: names of its files, tags of its snapshot. */

/** Names below the root of a restore point (docs/repository-format.md). */
export const POINT = {
  /** The snapshot's one path, the same for every machine and run. */
  path: '/stillpoint',
  machine: 'machine.json',
  evidence: 'evidence.dsse.json',
  restoreText: 'RESTORE.txt',
  disks: 'disks',
  platform: 'platform',
} as const

/** Tag of every restore point. */
export const STILLPOINT_TAG = 'stillpoint'

const GRADE_TAG = 'grade='

/** The tag that carries the grade claimed at the seal. */
export function gradeTag(grade: string): string {
  return `${GRADE_TAG}${grade}`
}

/** The grade that the tags claim, unchecked; undefined if there is none. */
export function claimedGrade(tags: readonly string[]): string | undefined {
  return tags.find((tag) => tag.startsWith(GRADE_TAG))?.slice(GRADE_TAG.length)
}

/** Tag of every record: a verdict, a completion record. Never that of a point. */
export const RECORD_TAG = 'stillpoint-record'

const RECORDS_HOST = 'stillpoint-records.'
const POINT_TAG = 'point='

/** The one file of a record, by what it is. */
export const RECORD_FILE = {
  completion: 'completion.dsse.json',
  verdict: 'verdict.dsse.json',
  tombstones: 'tombstones.dsse.json',
} as const

/**
 * Where a record of a machine lies: a snapshot of another host and path than the machine's points,
 * so that stock `restic forget`, however it groups, never trades a point for a record. One that is
 * about a point that is there names it, and goes with it.
 */
export function recordPlace(machineName: string, pointId?: string): {
  readonly hostname: string; readonly paths: readonly string[]; readonly tags: readonly string[]
} {
  return {
    hostname: `${RECORDS_HOST}${machineName}`,
    paths: [`/stillpoint/records/${machineName}`],
    tags: [RECORD_TAG, ...pointId === undefined ? [] : [`${POINT_TAG}${pointId}`]],
  }
}

/** True for a snapshot that is a record of ours. */
export function isRecord(snapshot: {
  readonly hostname?: string; readonly tags?: readonly string[] }): boolean {
  return snapshot.hostname?.startsWith(RECORDS_HOST) === true &&
    snapshot.tags?.includes(RECORD_TAG) === true
}

/** The id of the point that a snapshot is a record of; undefined if it is no record. */
export function recordedPoint(snapshot: {
  readonly hostname?: string; readonly tags?: readonly string[] }): string | undefined {
  if (snapshot.hostname?.startsWith(RECORDS_HOST) !== true) return undefined
  return snapshot.tags?.find((tag) => tag.startsWith(POINT_TAG))?.slice(POINT_TAG.length)
}
