/** Text in columns. */

export interface Column {
  readonly title: string
  readonly align?: 'left' | 'right'
}

const GAP = '  '

/** A table with a line of titles; cells are printable already, and plain (colour comes after). */
export function renderTable(
  columns: readonly Column[], rows: readonly (readonly string[])[]): readonly string[] {
  const lines = [columns.map(({ title }) => title), ...rows]
  const widths = columns.map((_, at) => Math.max(...lines.map((line) => (line[at] ?? '').length)))
  return lines.map((line) => columns
    .map(({ align }, at) => align === 'right'
      ? (line[at] ?? '').padStart(widths[at] ?? 0) : (line[at] ?? '').padEnd(widths[at] ?? 0))
    .join(GAP).trimEnd())
}

/** Names on the left, padded to the longest, and what belongs to them. */
export function renderPairs(
  pairs: readonly (readonly [name: string, text: string])[], indent = ''): readonly string[] {
  const width = Math.max(0, ...pairs.map(([name]) => name.length))
  return pairs.map(([name, text]) => `${indent}${name.padEnd(width)}${GAP}${text}`.trimEnd())
}
