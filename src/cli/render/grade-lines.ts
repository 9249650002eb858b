/** Why a grade is not higher, what would raise it, and what it rests on. */

import {
  capOf, GRADES, isWeaker, type Grade, type GradeReason, type GradeResult,
} from '../../consistency/mod.ts'
import { text, type ReportLine, type Tone } from './report.ts'
import { adviceOf, limitingReasons } from './words.ts'

export const GRADE_TONE: Readonly<Record<Grade, Tone>> = {
  application: 'good', filesystem: 'good', crash: 'weak', torn: 'bad',
}

export function gradeLines(
  { grade, reasons }: Pick<GradeResult, 'grade' | 'reasons'>): readonly ReportLine[] {
  const limiting = limitingReasons(grade, reasons)
  const next = GRADES.find((higher) => isWeaker(grade, higher) &&
    limitingReasons(higher, reasons).length > 0)
  const remarks = reasons.filter(({ code }) => capOf(code) === 'application')
  return [
    ...limiting.length === 0 ? [] : [text('why not higher'), ...limiting.flatMap(reasonLines)],
    ...next === undefined ? [] : [text(`with that cured it would be ${next}, because`),
      ...limitingReasons(next, reasons).flatMap(reasonLines)],
    ...remarks.length === 0 ? []
      : [text('it rests on'), ...remarks.map((it) => text(it.sentence, 1))],
  ]
}

/** The reason, and the one action that cures it. */
export function reasonLines(reason: GradeReason): readonly ReportLine[] {
  const advice = adviceOf(reason)
  return [text(reason.sentence, 1), ...advice === '' ? [] : [text(`to raise it: ${advice}`, 2)]]
}
