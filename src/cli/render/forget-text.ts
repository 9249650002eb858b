/** What a person sees of a forget: each point, whether it stays, and why. */

import { printable } from '../../base/text.ts'
import type { ForgetDecision, ForgetPlan, PlannedPoint } from '../../catalog/mod.ts'
import type { KeepReason } from '../../schedule/mod.ts'
import { noPaint, type Paint } from '../paint.ts'
import { renderTable } from './table.ts'
import { counted, shortId, wallTime } from './words.ts'

const COLUMNS = [
  { title: 'POINT' }, { title: 'TAKEN (UTC)' }, { title: 'MACHINE' }, { title: 'GRADE' },
  { title: 'ACTION' }, { title: 'WHY' },
] as const

/** A table of all that was looked at. */
export function renderForgetPlan({ points }: ForgetPlan, paint: Paint = noPaint): string {
  if (points.length === 0) return 'no restore point yet'
  const [titles = '', ...lines] = renderTable(COLUMNS, points.map(rowOf))
  return [paint('bold', titles), ...lines.map((line, at) =>
    points[at]?.decision.action === 'forget' ? paint('yellow', line) : line)].join('\n')
}

function rowOf({ point, decision }: PlannedPoint): readonly string[] {
  const why = whyWords(decision)
  if (point.state === 'damaged') {
    return [shortId(point.snapshotId), wallTime(point.timeMs), point.machineName, 'DAMAGED',
      decision.action, why]
  }
  return [shortId(point.pointId), wallTime(point.timeMs), printable(point.machine.name, 64),
    point.result.grade, decision.action, why]
}

function whyWords(decision: ForgetDecision): string {
  switch (decision.because) {
    case 'rules': return decision.reasons.map(reasonWords).join(', ')
    case 'last-point': return 'no rule, but it is the last of its machine'
    case 'damaged': return 'damaged: name it to forget it'
    case 'no-rule': return 'no rule keeps it'
    case 'named': return 'named'
    default: return decision satisfies never
  }
}

/** `daily 2026-11-24`, `oldest of weekly 2026-W02`. */
function reasonWords({ rule, slot, isOldest }: KeepReason): string {
  const words = [rule, printable(slot, 60)].filter((word) => word !== '').join(' ')
  return isOldest ? `oldest of ${words}` : words
}

/** The last line. */
export function renderForgetEnd({ points }: ForgetPlan, dryRun: boolean, zone: string): string {
  const gone = points.filter(({ decision }) => decision.action === 'forget').length
  const kept = points.length - gone
  const usesCalendar = points.some(({ decision }) => decision.because === 'rules')
  const where = usesCalendar ? `; days begin at midnight in ${zone}` : ''
  return dryRun
    ? `${counted(gone, 'restore point')} would go, ${kept} would stay${where}; nothing was changed`
    : `${counted(gone, 'restore point')} forgotten, ${kept} kept${where}`
}
