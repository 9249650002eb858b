/** `stillpoint points`: the restore points, one a line. */

import { printable } from '../../base/text.ts'
import type { RestorePoint } from '../../catalog/mod.ts'
import type { VerdictStatement } from '../../consistency/mod.ts'
import type { PointListing } from '../../engine/mod.ts'
import { noPaint, type Paint } from '../paint.ts'
import { renderTable } from './table.ts'
import {
  ageWords, brokenSeal, counted, GRADE_COLOUR, msOrDash, shortId, sizeOrDash, wallTime,
} from './words.ts'

const COLUMNS = [
  { title: 'POINT' }, { title: 'TAKEN (UTC)' }, { title: 'MACHINE' }, { title: 'GRADE' },
  { title: 'VERDICT' }, { title: 'DISKS' }, { title: 'HELD', align: 'right' },
  { title: 'SIZE', align: 'right' }, { title: 'ADDED', align: 'right' }, { title: 'SNAPSHOT' },
] as const

/** Points come oldest first, so that the newest stands next to the prompt. */
export function renderPoints(
  points: readonly PointListing[], nowMs: number, paint: Paint = noPaint): string {
  if (points.length === 0) return 'no restore point yet'
  const rows = points.map((listing) => rowOf(listing, nowMs))
  const [titles = '', ...lines] = renderTable(COLUMNS, rows)
  const notes = points.flatMap(notesOn)
  return [
    paint('bold', titles),
    ...lines.map((line, at) => paintLine(line, points[at], paint)),
    ...notes.length === 0 ? [] : ['', ...notes],
    '', counted(points.length, 'restore point'),
  ].join('\n')
}

function rowOf({ point, verdict }: PointListing, nowMs: number): readonly string[] {
  if (point.state === 'damaged') {
    return [
      '-', wallTime(point.timeMs), point.machineName, 'DAMAGED', '', '', '', '', '',
      shortId(point.snapshotId),
    ]
  }
  const { machine, result, heldMs, sizeBytes, bytesAdded } = point
  return [
    shortId(point.pointId), wallTime(point.timeMs), printable(machine.name, 64),
    isWeakerThanClaimed(point) ? `${result.grade} (!)` : result.grade,
    shortVerdict(verdict, nowMs), result.coverage.kind,
    msOrDash(heldMs), sizeOrDash(sizeBytes), sizeOrDash(bytesAdded),
    shortId(point.snapshotId),
  ]
}

/** `proven, 3 hours ago`. */
function shortVerdict(statement: VerdictStatement | undefined, nowMs: number): string {
  if (statement === undefined) return '-'
  const { verdict: { verdict }, checkedAt } = statement
  const words = { 'proven': 'proven', 'not-proven': 'not proven', 'refuted': 'REFUTED' }[verdict]
  return `${words}, ${ageWords(Date.parse(checkedAt), nowMs)}`
}

function isWeakerThanClaimed({ claimed, result }: RestorePoint): boolean {
  return claimed !== result.grade
}

function notesOn({ point, verdict }: PointListing): readonly string[] {
  if (point.state === 'damaged') {
    const differences = point.seal?.differences ?? []
    const altered = differences.length === 0 ? ''
      : `; it was altered after it was sealed: ${differences.join('; ')}`
    return [`snapshot ${shortId(point.snapshotId)} is damaged: ${point.reason}${altered}`]
  }
  const id = shortId(point.pointId)
  const refuted = verdict?.verdict.verdict === 'refuted'
    ? [`${id} is refuted by its own data: rely on it as ${verdict.verdict.effective}, see "show"`]
    : []
  if (!isWeakerThanClaimed(point)) return refuted
  const claim = point.claimed === undefined ? 'carries no grade' : `is tagged ${point.claimed}`
  const broken = brokenSeal(point.result)
  return [...refuted, broken === undefined
    ? `${id} ${claim}, but its evidence supports "${point.result.grade}"`
    : `${id} ${claim}, but is not to be relied on: ${broken.sentence}`]
}

function paintLine(line: string, listing: PointListing | undefined, paint: Paint): string {
  if (listing === undefined) return line
  const { point, verdict } = listing
  const isBad = point.state === 'damaged' || verdict?.verdict.verdict === 'refuted'
  if (isBad) return paint('red', line)
  const { grade } = point.result
  return line.replace(` ${grade} `, ` ${paint(GRADE_COLOUR[grade], grade)} `)
}
