/** `stillpoint show` on a terminal. */

import type { RestorePoint } from '../../catalog/mod.ts'
import { noPaint, type Paint } from '../paint.ts'
import { pointReport } from './point-report.ts'
import { renderReport } from './report-text.ts'

/** `nowMs` is wall time, for the age. */
export function renderPoint(point: RestorePoint, nowMs: number, paint: Paint = noPaint): string {
  return renderReport(pointReport(point, nowMs), paint)
}
