/** `stillpoint show` on a terminal. */

import type { ShownPoint } from '../../engine/mod.ts'
import { noPaint, type Paint } from '../paint.ts'
import { pointReport } from './point-report.ts'
import { renderReport } from './report-text.ts'

/** `nowMs` is wall time, for the age. */
export function renderPoint(shown: ShownPoint, nowMs: number, paint: Paint = noPaint): string {
  return renderReport(pointReport(shown, nowMs), paint)
}
