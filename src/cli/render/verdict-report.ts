/** What later checks made of a grade, as a section of a report. */

import { printable } from '../../base/text.ts'
import type { Check, Verdict } from '../../consistency/mod.ts'
import { pair, text, type ReportLine, type ReportSection, type Tone } from './report.ts'
import { ageWords, counted, wallTime } from './words.ts'

const VERDICT_TONE: Readonly<Record<Verdict['verdict'], Tone>> = {
  'proven': 'good', 'not-proven': 'weak', 'refuted': 'bad',
}

const ANSWER_WORDS: Readonly<Record<Check['answer'], string>> = {
  confirms: 'confirmed', contradicts: 'CONTRADICTED', silent: 'not shown',
}

const CLAIM_WORDS: Readonly<Record<Check['claim']['kind'], string>> = {
  'application': 'application', 'file-system': 'file system', 'disk': 'disk',
}

/** `proven (filesystem)`; `REFUTED (application claimed, crash left)`. */
function verdictWords({ verdict, grade, effective }: Verdict): string {
  switch (verdict) {
    case 'proven': return `proven (${grade})`
    case 'not-proven': return `not proven (${grade})`
    case 'refuted': return `REFUTED (${grade} claimed, ${effective} left)`
    default: return verdict satisfies never
  }
}

/** `checkedAtMs` undefined: just now, by the command that prints it. */
export function verdictSection(
  verdict: Verdict, age: { readonly checkedAtMs: number; readonly nowMs: number } | undefined,
): ReportSection {
  const words = verdictWords(verdict)
  const when = age === undefined ? []
    : [pair('checked', `${wallTime(age.checkedAtMs)} UTC, ${ageWords(age.checkedAtMs, age.nowMs)}`)]
  return {
    title: `verdict: ${words}`, marked: words, tone: VERDICT_TONE[verdict.verdict],
    lines: [...when, ...verdict.checks.flatMap(checkLines), ...closing(verdict)],
  }
}

function checkLines({ name, claim, answer, detail }: Check): readonly ReportLine[] {
  return [
    text(`${CLAIM_WORDS[claim.kind]} ${printable(claim.subject, 200)}: ${ANSWER_WORDS[answer]}`),
    text(`${printable(name, 20)}: ${printable(detail, 500)}`, 1),
  ]
}

function closing({ verdict, checks, open }: Verdict): readonly ReportLine[] {
  const isTracking = checks.some(({ claim, answer }) =>
    claim.kind === 'disk' && answer === 'contradicts')
  if (isTracking) {
    return [text('Do not rely on this point, nor on those before it back to one whose disk was ' +
      'read in full: they may lack the same changes. The next backup reads all of it.')]
  }
  if (verdict === 'refuted') {
    return [text('Do not rely on the grade: treat this point as its effective grade says, and ' +
      'find out what thawed or bypassed the guest.')]
  }
  if (verdict === 'proven') return []
  return open.length === 0
    ? [text('The grade claims nothing that the data could show.')]
    : [text(`Of what the grade claims, ${counted(open.length, 'part')} could not be shown; ` +
      'nothing contradicts it.')]
}
