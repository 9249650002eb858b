/** What a person sees after a backup; the last line is its grade and why it is not higher. */

import type { BackupSummary } from '../../backup/mod.ts'
import { formatBytes, formatMs, printable } from '../../base/text.ts'
import type { GradeResult } from '../../consistency/mod.ts'
import { noPaint, type Paint } from '../paint.ts'
import { renderPairs } from './table.ts'
import {
  applicationWords, coverageWords, filesAsZerosWords, GRADE_COLOUR, incidentalNote,
  limitingReasons, shortId,
} from './words.ts'

export function renderBackup(summary: BackupSummary, paint: Paint = noPaint): string {
  const { result, machine, stored } = summary
  const name = printable(machine, 64)
  const title = 'snapshotId' in stored
    ? `restore point ${shortId(summary.pointId)} of ${name} is stored (restic snapshot ${
      shortId(stored.snapshotId)})`
    : paint('red', `NOT STORED: ${name} has no new restore point`)
  return [
    title,
    ...renderPairs([
      ['disks', `${formatBytes(summary.sizeBytes)}, ${coverageWords(result.coverage)}`],
      ['held', heldWords(summary)],
      ['read', `${formatBytes(summary.bytesRead)} (${summary.mode}: ${summary.modeReason})`],
      ...zerosLine(summary),
      ['added', `${formatBytes(summary.bytesAdded)} to the repository`],
      ['took', formatMs(summary.durationMs)],
    ], '  '),
    ...renderApplications(result),
    ...renderJudgement(summary, paint),
    gradeLine(result, paint),
  ].join('\n')
}

/** Where something was left out on purpose. */
function zerosLine(
  { evidence: { reading } }: BackupSummary): readonly (readonly [string, string])[] {
  const all = reading.state === 'finished'
    ? reading.disks.flatMap(({ filesAsZeros }) => filesAsZeros ?? []) : []
  if (all.length === 0) return []
  const sum = all.reduce((a, b) => ({ files: a.files + b.files, bytes: a.bytes + b.bytes }))
  return [['zeros', `${filesAsZerosWords(sum)}: vss-not-read.json in the point lists them`]]
}

/** `grade: crash. Why not higher: The guest agent does not answer.` */
export function gradeLine(
  { grade, reasons }: Pick<GradeResult, 'grade' | 'reasons'>, paint: Paint = noPaint): string {
  const shown = `grade: ${paint(GRADE_COLOUR[grade], grade)}.`
  if (grade === 'application') return `${shown} There is no higher one.`
  const [first, ...others] = limitingReasons(grade, reasons)
  if (first === undefined) return shown
  const more = others.length === 0 ? '' : ` (and ${others.length} more, see "stillpoint show")`
  return `${shown} Why not higher: ${first.sentence}${more}`
}

function heldWords({ heldMs, stalledMs, evidence }: BackupSummary): string {
  if (heldMs === null) {
    if (evidence.hold.by === 'platform' && evidence.hold.claimed !== 'none') {
      return `by the platform itself, which claims "${evidence.hold.claimed}"`
    }
    return evidence.instant.oneInstant
      ? 'nothing; the disks were captured at one instant all the same' : 'nothing'
  }
  const stalled = stalledMs === null
    ? '' : ` (${formatMs(stalledMs)} from the request to the guest's last answer)`
  return `writes for ${formatMs(heldMs)}${stalled}`
}

function renderApplications({ applications }: GradeResult): readonly string[] {
  if (applications.length === 0) return []
  return ['  applications', ...renderPairs(applications.map((application) =>
    [application.name, applicationWords(application) + incidentalNote(application)]), '    ')]
}

function renderJudgement({ judgement, stored }: BackupSummary, paint: Paint): readonly string[] {
  if (judgement.kind === 'fine') return []
  const what = 'snapshotId' in stored
    ? 'LESS THAN REQUIRED, and stored all the same (--on-weaker keep):'
    : 'LESS THAN REQUIRED, so it was not stored:'
  return [paint('yellow', what), ...judgement.because.map((sentence) => `  ${sentence}`)]
}
