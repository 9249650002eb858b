/** `stillpoint prove`: a report for each point, the verdict last. */

import { formatMs, printable } from '../../base/text.ts'
import type { Proved, ProvedPoint } from '../../engine/mod.ts'
import { noPaint, type Paint } from '../paint.ts'
import { logsSection } from './logs-report.ts'
import { renderReport } from './report-text.ts'
import { verdictSection } from './verdict-report.ts'
import { counted, shortId, wallTime } from './words.ts'

export function renderProved({ proved, left }: Proved, paint: Paint = noPaint): string {
  if (proved.length === 0 && left.length === 0) return 'no restore point yet'
  return [
    ...proved.map((it) => renderOne(it, paint)),
    ...left.length === 0 ? [] : [`left for the next time: ${counted(left.length, 'machine')} (${
      printable(left.join(', '), 500)})`],
  ].join('\n\n')
}

function renderOne({ point, verdict, logs, durationMs }: ProvedPoint, paint: Paint): string {
  return renderReport([
    {
      title: `restore point ${shortId(point.pointId)} of ${printable(point.machine.name, 64)}, ${
        wallTime(point.timeMs)} UTC`,
      lines: [{ kind: 'text', depth: 0,
        text: `its disks were looked into, not booted, in ${formatMs(durationMs)}` }],
    },
    ...logs === undefined ? [] : [logsSection(logs)],
    verdictSection(verdict, undefined),
  ], paint)
}
