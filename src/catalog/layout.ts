/** How a restore point lies in the repository: names of its files, tags of its snapshot. */

/** Names below the root of a restore point (DESIGN §6). */
export const POINT = {
  /** The snapshot's one path, the same for every machine and run. */
  path: '/stillpoint',
  machine: 'machine.json',
  evidence: 'evidence.json',
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
