/** `stillpoint audit-tracking`: what each disk showed, and which points are in doubt now. */

import { formatBytes, formatMs, printable } from '../../base/text.ts'
import type { AuditedDisk, TrackingAudit } from '../../backup/mod.ts'
import { FULL_REASONS } from '../../consistency/mod.ts'
import type { JsonFields } from '../output.ts'
import { noPaint, type Paint } from '../paint.ts'
import { verdictJson } from './json-shapes.ts'
import { renderReport } from './report-text.ts'
import { text } from './report.ts'
import { verdictSection } from './verdict-report.ts'
import { counted, shortId, wallTime } from './words.ts'

export function auditJson({ machine, disks, verdicts, durationMs }: TrackingAudit): JsonFields {
  return {
    machine,
    disks: disks.map((disk) => 'unaudited' in disk
      ? { id: disk.id, sizeBytes: disk.sizeBytes, reason: FULL_REASONS[disk.unaudited] }
      : {
          id: disk.id, sizeBytes: disk.sizeBytes, since: disk.since,
          changedBytes: disk.changedBytes, comparedBytes: disk.comparedBytes,
          chunks: disk.compared, differing: disk.differing,
          firstOffset: disk.differing > 0 ? disk.firstOffset : null,
        }),
    verdicts: verdicts.map(({ point, verdict }) =>
      ({ point: point.pointId, ...verdictJson(verdict) })),
    durationMs: Math.round(durationMs),
  }
}

export function renderAudit(audit: TrackingAudit, paint: Paint = noPaint): string {
  const { machine, disks, verdicts, durationMs } = audit
  return [
    renderReport([{
      title: `tracking of ${printable(machine, 64)}, audited in ${formatMs(durationMs)}`,
      lines: disks.map((disk) => text(diskLine(disk))),
    }], paint),
    ...verdicts.map(({ point, verdict }) => renderReport([
      {
        title: `restore point ${shortId(point.pointId)} of ${printable(point.machine.name, 64)}, ${
          wallTime(point.timeMs)} UTC`,
        lines: [text('the tracking since this point missed changes')],
      },
      verdictSection(verdict, undefined),
    ], paint)),
    lastLine(disks, paint),
  ].join('\n\n')
}

function diskLine(disk: AuditedDisk): string {
  const id = printable(disk.id, 64)
  if ('unaudited' in disk) return `${id}: nothing to audit: ${FULL_REASONS[disk.unaudited]}`
  const { since, compared, comparedBytes, changedBytes, differing, firstOffset } = disk
  const said = `since ${shortId(since)} ${formatBytes(changedBytes)} are said to have changed; ${
    counted(compared, 'other chunk')} (${formatBytes(comparedBytes)}) compared`
  return differing === 0 ? `${id}: ${said}, all as they were`
    : `${id}: ${said}, ${differing} DIFFER, the first at byte ${firstOffset}`
}

function lastLine(disks: readonly AuditedDisk[], paint: Paint): string {
  const audited = disks.filter((disk) => 'since' in disk)
  if (audited.some(({ differing }) => differing > 0)) {
    return paint('red', 'The tracking missed changes: the next backup reads these disks in full. ' +
      'Run it now.')
  }
  return audited.length === 0 ? 'The next backup reads all in any case.'
    : 'No change was missed in what was compared.'
}
