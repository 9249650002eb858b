/** What a guest's logs say around the instant, as a section of a report. */

import { isoTime } from '../../base/clock.ts'
import { printable } from '../../base/text.ts'
import type { ProvedPoint } from '../../engine/mod.ts'
import { text, type ReportLine, type ReportSection } from './report.ts'

type Logs = NonNullable<ProvedPoint['logs']>
type Remark = Logs['remarks'][number]

export function logsSection({ found, remarks, note }: Logs): ReportSection {
  const isBad = remarks.some(({ tone }) => tone === 'bad')
  return {
    title: 'logs of the guest', ...isBad && { tone: 'bad' },
    lines: [
      text(printable(found, 1000)),
      ...remarks.flatMap(remarkLines),
      ...remarks.length === 0 && note !== ''
        ? [text('no record around the instant says anything of a backup')] : [],
      ...note === '' ? [] : [text(`after a restore: ${note}`)],
    ],
  }
}

function remarkLines(remark: Remark): readonly ReportLine[] {
  const { atMs, source, id, tone, means, shows, count, image } = remark
  const value = shows === '' ? '' : `: ${printable(shows.trim(), 120)}`
  const times = count === 1 ? '' : `, ${count} times`
  const where = image === 'next' ? ' (in the next backup alone)' : ''
  return [
    text(`${isoTime(atMs).slice(0, 19).replace('T', ' ')} ${printable(source, 60)} ${id}${
      times}${where}`),
    text(`${tone === 'bad' ? 'TROUBLE: ' : ''}${means}${value}`, 1),
  ]
}
