/** A report as text for a terminal. */

import type { Colour, Paint } from '../paint.ts'
import { drawTimeline } from './hold-line.ts'
import type { ReportLine, ReportSection, Tone } from './report.ts'
import { renderPairs } from './table.ts'

const COLOUR: Readonly<Record<Tone, Colour>> = { good: 'green', weak: 'yellow', bad: 'red' }
const INDENT = '  '

/** Sections parted by empty lines. */
export function renderReport(sections: readonly ReportSection[], paint: Paint): string {
  return sections.map((section) =>
    [titleOf(section, paint), ...linesOf(section.lines)].join('\n')).join('\n\n')
}

function titleOf({ title, tone, marked }: ReportSection, paint: Paint): string {
  if (tone === undefined || marked === undefined) return title
  return title.replace(marked, () => paint(COLOUR[tone], marked))
}

function linesOf(lines: readonly ReportLine[]): readonly string[] {
  const result: string[] = []
  let pairs: (readonly [string, string])[] = []
  const endPairs = (): void => {
    result.push(...renderPairs(pairs, INDENT))
    pairs = []
  }
  for (const line of lines) {
    if (line.kind === 'pair') pairs.push([line.name, line.text])
    else {
      endPairs()
      result.push(...lineOf(line))
    }
  }
  endPairs()
  return result
}

function lineOf(line: Exclude<ReportLine, { kind: 'pair' }>): readonly string[] {
  switch (line.kind) {
    case 'text': return [`${INDENT.repeat(line.depth + 1)}${line.text}`]
    case 'quote': return [`${INDENT.repeat(line.depth + 1)}${line.who}: "${line.text}"`]
    case 'command': return [`${INDENT}${line.text}`]
    case 'timeline': return drawTimeline(line.rows).map((row) => `${INDENT}${row}`.trimEnd())
    default: return line satisfies never
  }
}
