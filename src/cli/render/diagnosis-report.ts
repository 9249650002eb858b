/** What `stillpoint doctor` says of a machine; its last section is the grade. */

import { formatBytes, printable } from '../../base/text.ts'
import type {
  FileSystemClass, Freezing, GradeReason, GradeResult,
} from '../../consistency/mod.ts'
import type { Diagnosis } from '../../engine/mod.ts'
import { adviceFor, applicationHead } from './application-report.ts'
import { gradeLines, GRADE_TONE } from './grade-lines.ts'
import { pair, text, type ReportSection } from './report.ts'
import { adviceOf, counted, GRADE_MEANING, limitingReasons, POWER_WORDS } from './words.ts'

export function diagnosisReport(diagnosis: Diagnosis): readonly ReportSection[] {
  return [
    headOf(diagnosis), remarksOf(diagnosis), disksOf(diagnosis), fileSystemsOf(diagnosis),
    applicationsOf(diagnosis), gradeOf(diagnosis),
  ].filter((section) => section !== undefined)
}

function headOf({ machine, survey }: Diagnosis): ReportSection {
  const { disks, power, freezing } = survey
  const bytes = disks.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  return {
    title: `${printable(machine.name, 64)} on ${machine.platform}`,
    lines: [
      pair('power', POWER_WORDS[power]),
      pair('disks', `${counted(disks.length, 'disk')}, ${formatBytes(bytes)}`),
      pair('held by', heldBy(freezing)),
    ],
  }
}

function heldBy(freezing: Freezing): string {
  if ('missing' in freezing) return `nobody: ${printable(freezing.detail)}`
  if (freezing.by === 'platform' && freezing.level === 'none') {
    return 'nobody: the platform could not quiesce the guest'
  }
  return freezing.by === 'platform' ? `the platform, as far as "${freezing.level}"`
    : `the guest agent, ${printable(freezing.agent, 100)}`
}

function remarksOf({ machine, survey }: Diagnosis): ReportSection | undefined {
  const { remarks = [] } = survey
  if (remarks.length === 0) return undefined
  return {
    title: `what ${machine.platform} shows`,
    lines: remarks.flatMap(({ name, says, advice }) => [
      pair(name, says), ...advice === undefined ? [] : [text(`to change it: ${advice}`, 1)]]),
  }
}

function disksOf({ survey, predicted }: Diagnosis): ReportSection | undefined {
  const { leftOut } = predicted.coverage
  if (leftOut.length === 0) return undefined
  const isWhole = predicted.coverage.kind === 'whole'
  return {
    title: isWhole ? 'disks' : 'disks: NOT ALL of the machine',
    ...isWhole ? {} : { tone: 'weak', marked: 'NOT ALL' },
    lines: [
      ...survey.disks.map(({ id, sizeBytes }) => pair(printable(id, 64), formatBytes(sizeBytes))),
      ...leftOut.map(({ id, reason, detail }) =>
        pair(printable(id, 64), `would be left out (${reason}): ${printable(detail)}`)),
    ],
  }
}

/** As `CLASS_WORDS`, of what has not been done yet. */
const WOULD_BE: Readonly<Record<FileSystemClass, string>> = {
  'acknowledged': 'can be held still',
  'image-frozen': 'can be held still',
  'unfreezable': 'cannot be held still',
  'read-only': 'read-only',
  'unmounted': 'not in use',
  'unexplained': 'NOT ACCOUNTED FOR',
}

function fileSystemsOf({ predicted }: Diagnosis): ReportSection | undefined {
  if (predicted.fileSystems.length === 0) return undefined
  return {
    title: 'file systems',
    lines: predicted.fileSystems.map((it) => pair(it.name, WOULD_BE[it.class])),
  }
}

function applicationsOf({ applications, predicted }: Diagnosis): ReportSection | undefined {
  const { discovery } = applications
  if (discovery.state === 'impossible') return undefined
  return {
    title: `applications, as found by ${printable(discovery.by, 100)}`,
    lines: predicted.applications.length === 0 ? [text('none was found')]
      : predicted.applications.flatMap((application, at) =>
        applicationHead(application, discovery.applications[at])),
  }
}

/** The one action to begin with; empty where none raises the grade. */
export function firstAction({ predicted, applications, nextStep }: Diagnosis): string {
  const { grade, reasons } = predicted
  const [worst] = limitingReasons(grade, reasons)
  if (nextStep !== undefined || worst === undefined) return nextStep ?? ''
  return ownAdvice(worst, predicted, applications) ?? adviceOf(worst)
}

/** Of whoever found the application that the reason speaks of. */
function ownAdvice(
  { code, sentence }: GradeReason, predicted: GradeResult,
  { discovery }: Diagnosis['applications'],
): string | undefined {
  const at = predicted.applications.findIndex(({ reason }) =>
    reason?.code === code && reason.sentence === sentence)
  const advice = discovery.state === 'done' ? adviceFor(discovery.applications[at]) : ''
  return advice === '' ? undefined
    : printable(`${predicted.applications[at]?.name}: ${advice}`, 400)
}

function gradeOf(diagnosis: Diagnosis): ReportSection {
  const { predicted, policy, judgement, survey } = diagnosis
  const { grade } = predicted
  const action = firstAction(diagnosis)
  const isShort = judgement.kind === 'weaker'
  return {
    title: `a backup now would be: ${grade} (${GRADE_MEANING[grade]})`,
    tone: isShort ? 'bad' : GRADE_TONE[grade],
    marked: grade,
    lines: [
      ...survey.power === 'off' ? [text(
        'A machine that is off is graded by what its disks show, once they are read.')] : [],
      ...gradeLines(predicted),
      ...judgement.kind === 'fine' ? []
        : [text('LESS THAN REQUIRED'), ...judgement.because.map((because) => text(because, 1))],
      ...policy.origin === 'operator' ? [text(`required is ${policy.require}`)] : [],
      ...action === '' ? [] : [text(`do first: ${action}`)],
    ],
  }
}
