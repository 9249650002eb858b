/** What is known of one application of a point: its grade, its hold, and its own words. */

import { formatMs, printable } from '../../base/text.ts'
import { unreachable } from '../../base/unreachable.ts'
import type {
  ApplicationData, ApplicationEvidence, ApplicationGrade, WriterEvidence, WriterHold,
} from '../../consistency/mod.ts'
import { reasonLines } from './grade-lines.ts'
import { quote, text, type ReportLine } from './report.ts'
import { applicationWords, incidentalNote } from './words.ts'

/** Of what an application stated, what a page has room for. */
const STATEMENT_LENGTH = 400

export function applicationLines(
  grade: ApplicationGrade, evidence: ApplicationEvidence | undefined): readonly ReportLine[] {
  return [
    ...applicationHead(grade, evidence),
    ...evidence === undefined ? []
      : [...writerLines(evidence.writer), ...dataLines(evidence.data)],
  ]
}

/** The grade in words, why it is not `application`, and what can be done about it. */
export function applicationHead(
  grade: ApplicationGrade, evidence: ApplicationEvidence | undefined): readonly ReportLine[] {
  const advice = adviceFor(evidence)
  return [
    text(`${grade.name}: ${applicationWords(grade)}${incidentalNote(grade)}`),
    ...grade.reason === undefined || (grade.reason.code === 'no-writer' && advice !== '') ? []
      : advice === '' ? reasonLines(grade.reason) : [text(grade.reason.sentence, 1)],
    ...advice === '' ? [] : [quote('what can be done', words(advice), 1)],
  ]
}

/** What whoever found it advises, where no writer holds it; empty if nothing. */
export function adviceFor(evidence: ApplicationEvidence | undefined): string {
  return evidence?.writer.contract === 'none' && evidence.writer.reason === 'no-writer'
    ? evidence.writer.detail : ''
}

function writerLines(writer: WriterEvidence): readonly ReportLine[] {
  switch (writer.contract) {
    case 'none':
      return writer.detail === '' || writer.reason === 'no-writer' ? []
        : [quote('not asked', words(writer.detail), 1)]
    case 'held': return holdLines('held', writer)
    case 'recoverable':
      return [
        ...holdLines('watched', writer),
        text(`settings read: ${words(writer.durability.settings)} (${writer.durability.state})`, 1),
      ]
    case 'platform-stated':
      return [quote(`the platform states "${writer.state}"`, words(writer.statement), 1)]
    default: return unreachable(writer)
  }
}

function holdLines(verb: string, { limitMs, freeze, thaw }: WriterHold): readonly ReportLine[] {
  if (freeze.state === 'failed') {
    return [text(`asked for ${formatMs(freeze.failedMs - freeze.issuedMs)}, in vain: ${
      words(freeze.fault.message)} (${printable(freeze.fault.code, 64)})`, 1)]
  }
  const { positions } = freeze
  return [
    text(`${verb} for ${formatMs(thaw.issuedMs - freeze.acknowledgedMs)}, limit ${
      formatMs(limitMs)}`, 1),
    ...positions === null ? [] : [text(`its log stood at ${
      words(positions.beforeCheckpoint)} before the checkpoint, at ${
      words(positions.atFreeze)} when it was held`, 1)],
    quote('it stated when held', words(freeze.statement), 1),
    thaw.state === 'thawed' ? quote('and when released', words(thaw.statement), 1)
      : text(`its release was not confirmed: ${words(thaw.detail)}`, 1),
  ]
}

function dataLines(data: ApplicationData): readonly ReportLine[] {
  switch (data.state) {
    case 'located': return [text(`its data lies on ${data.diskIds.join(', ')}`, 1)]
    case 'outside': return [text(`NOT COVERED: ${words(data.detail)}`, 1)]
    case 'unknown': return [text(`where its data lies is unknown: ${words(data.detail)}`, 1)]
    default: return unreachable(data)
  }
}

function words(foreign: string): string {
  return printable(foreign, STATEMENT_LENGTH)
}
