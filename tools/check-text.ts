/** What `npm run check` looks for in the text of files: sizes, words, links, fault codes. */

import { dirname, join, normalize } from 'node:path'

export interface Finding {
  readonly path: string
  readonly line: number
  readonly text: string
}

const MAX_COLUMNS = 100
/** Only base/clock.ts may touch these (STYLE.md "Cancellation and time"). */
const TIME = /\bDate\.now\(|\bnew Date\(\)|\bsetTimeout\(|\bsetInterval\(|AbortSignal\.timeout\(/
const OPEN_TODO = /\bTODO\b(?!\(#\d+\)|\\b)/
/** And base/, for what this process hands on to others and where its own places are. */
const ENTRY_POINTS = [
  'src/cli/', 'src/server/', 'src/agent/', 'src/base/program.ts', 'src/base/program-places.ts']

/** Findings in one TypeScript file. */
export function checkSource(path: string, text: string): readonly Finding[] {
  const isTestFile = path.endsWith('.test.ts') || path.includes('/testing/')
  return text.split('\n').flatMap((line, index) => {
    const findings: string[] = []
    if (line.length > MAX_COLUMNS) findings.push(`is ${line.length} columns wide`)
    if (path.startsWith('src/') && !isTestFile) {
      if (path !== 'src/base/clock.ts' && TIME.test(line)) {
        findings.push('touches time: pass a Clock in')
      }
      if (/process\.env/.test(line) && !ENTRY_POINTS.some((entry) => path.startsWith(entry))) {
        findings.push('reads process.env: only entry points may')
      }
    }
    if (OPEN_TODO.test(line)) findings.push('has a to-do without its issue: (#n) must follow')
    return findings.map((found) => ({ path, line: index + 1, text: found }))
  })
}

/** Relative links of a Markdown file that lead nowhere. `exists` is asked with project paths. */
export function checkLinks(
  path: string, text: string, exists: (path: string) => boolean): readonly Finding[] {
  return text.split('\n').flatMap((line, index) =>
    [...line.matchAll(/\]\(([^)\s]+)\)/g)]
      .map((match) => match[1] ?? '')
      .filter((target) => !/^[a-z]+:|^#/.test(target))
      .map((target) => normalize(join(dirname(path), target.split('#')[0] ?? '')))
      .filter((target) => !exists(target))
      .map((target) => ({ path, line: index + 1, text: `links to ${target}, which is not there` })))
}

/** Differences between the fault codes of the code and the rows of `docs/faults.md`. */
export function checkFaultTable(
  codes: Readonly<Record<string, { readonly meaning: string; readonly exitCode: number }>>,
  markdown: string,
): readonly Finding[] {
  const rows = new Map<string, string>()
  const rowPattern = /^\| `([a-z-]+)` \| (\d+) \| (.+?) \|/gm
  for (const [, code = '', exit = '', meaning = ''] of markdown.matchAll(rowPattern)) {
    rows.set(code, `${exit} ${meaning}`)
  }
  const path = 'docs/faults.md'
  const wrong = Object.entries(codes)
    .filter(([code, { meaning, exitCode }]) => rows.get(code) !== `${exitCode} ${meaning}`)
    .map(([code]) => ({ path, line: 1, text: `row of \`${code}\` is missing or differs` }))
  const extra = [...rows.keys()]
    .filter((code) => !(code in codes))
    .map((code) => ({ path, line: 1, text: `\`${code}\` is no fault code` }))
  return [...wrong, ...extra]
}
