/** One line that says how far something is. */

import { formatBytes, formatMs } from '../../base/text.ts'

export interface Progress {
  /** Plain words: `reading disk vda`. Another text is another bar. */
  readonly what: string
  readonly done: number
  /** Undefined while it is not known. */
  readonly total: number | undefined
  readonly unit: 'bytes' | 'count'
}

const BAR_WIDTH = 24

/** At most `columns` wide, so that it stays on one line. */
export function progressLine(
  { what, done, total, unit }: Progress, perSecond: number | undefined,
  columns: number | undefined,
): string {
  const width = Math.max(20, (columns ?? 80) - 1)
  const amount = amountOf(done, total, unit)
  const isMoving = perSecond !== undefined && perSecond > 0
  const speed = unit === 'bytes' && isMoving ? `  ${formatBytes(perSecond)}/s` : ''
  const rest = isMoving && total !== undefined && total > done
    ? `  ${formatMs(Math.ceil((total - done) / perSecond) * 1000)} left` : ''
  const text = `  ${amount}${speed}${rest}`
  const full = total === undefined ? '' : ` [${drawBar(done, total)}]`
  const line = `${what}${full}${text}`
  return line.length <= width ? line : `${what}${text}`.slice(0, width)
}

function drawBar(done: number, total: number): string {
  const filled = total === 0 ? BAR_WIDTH : Math.floor(Math.min(1, done / total) * BAR_WIDTH)
  return '='.repeat(filled).padEnd(BAR_WIDTH, '-')
}

function amountOf(done: number, total: number | undefined, unit: Progress['unit']): string {
  const text = unit === 'bytes' ? formatBytes : (count: number) => String(count)
  return total === undefined ? text(done) : `${text(done)}/${text(total)}`
}
