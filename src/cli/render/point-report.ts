/** All that is known of a restore point, as a report; `show` prints it, on a terminal or a page. */

import { formatBytes, formatMs, printable } from '../../base/text.ts'
import type { RestorePoint } from '../../catalog/mod.ts'
import {
  FULL_REASONS, isWeaker, type DiskBase, type Evidence, type FilesAsZeros, type HoldEvidence,
} from '../../consistency/mod.ts'
import type { ShownPoint } from '../../engine/mod.ts'
import { applicationLines } from './application-report.ts'
import { gradeLines, GRADE_TONE } from './grade-lines.ts'
import { holdTimeline } from './hold-timeline.ts'
import { command, pair, text, type ReportSection } from './report.ts'
import { verdictSection } from './verdict-report.ts'
import {
  ageWords, CLASS_WORDS, filesAsZerosWords, GRADE_MEANING, msOrDash, POWER_WORDS, shortId,
  SIGN_WORDS, sizeOrDash, wallTime,
} from './words.ts'

/** `nowMs` is wall time, for the age. Sections without content are left out. */
export function pointReport(
  { point, verdict }: ShownPoint, nowMs: number): readonly ReportSection[] {
  return [
    headOf(point, nowMs),
    gradeOf(point),
    verdict === undefined ? undefined : verdictSection(
      verdict.verdict, { checkedAtMs: Date.parse(verdict.checkedAt), nowMs }),
    holdOf(point),
    applicationsOf(point),
    fileSystemsOf(point),
    disksOf(point),
    ...restoreOf(point),
  ].filter((section) => section !== undefined)
}

function headOf(point: RestorePoint, nowMs: number): ReportSection {
  const { machine, evidence } = point
  return {
    title: `restore point ${shortId(point.pointId)} of ${printable(machine.name, 64)}`,
    lines: [
      pair('taken', `${wallTime(point.timeMs)} UTC, ${ageWords(point.timeMs, nowMs)}`),
      pair('machine', `${machine.platform}, ${machine.cpuCount} CPU, ${
        formatBytes(machine.memoryBytes)} memory, ${machine.firmware} firmware, was ${
        POWER_WORDS[evidence.power.before]}`),
      pair('point', point.pointId),
      pair('snapshot', `${point.snapshotId} (for restic)`),
      pair('sealed', `as number ${point.seal.statement.sequence} of the machine, by the key ${
        point.seal.signer.slice(0, 16)}… (--verify says more)`),
      pair('size', `${formatBytes(point.sizeBytes)}; its backup added ${
        sizeOrDash(point.bytesAdded)} to the repository`),
    ],
  }
}

function gradeOf(point: RestorePoint): ReportSection {
  const { result, claimed } = point
  const { grade } = result
  const { require, origin } = point.evidence.policy
  const isShort = isWeaker(grade, require)
  return {
    title: `grade: ${grade} (${GRADE_MEANING[grade]})`,
    tone: isShort && GRADE_TONE[grade] === 'good' ? 'weak' : GRADE_TONE[grade], marked: grade,
    lines: [
      ...claimed === grade ? [] : [text(`NOTE: it was tagged ${claimed ?? 'without a grade'
      } when it was stored; the evidence supports no more than this`)],
      ...gradeLines(result),
      text(`${isShort ? 'LESS THAN REQUIRED, which was' : 'required was'} ${require} (${
        ORIGIN[origin]})`),
    ],
  }
}

const ORIGIN: Readonly<Record<Evidence['policy']['origin'], string>> = {
  'operator': 'as set by the operator',
  'best-so-far': 'the best grade the machine had had',
  'predicted': 'what its first backup was expected to reach',
}

function holdOf({ evidence, heldMs, stalledMs }: RestorePoint): ReportSection {
  const { hold, instant } = evidence
  const method = `all disks captured ${instant.oneInstant ? 'at one instant' : 'NOT at one instant'
    }, within ${formatMs(instant.endMs - instant.startMs)} (${printable(instant.method, 64)})`
  if (hold.by !== 'requestor') {
    return { title: `hold: ${noHoldWords(hold)}`, lines: [text(method)] }
  }
  return {
    title: `hold: writes were held for ${msOrDash(heldMs)} (${msOrDash(stalledMs)} from the ` +
      'request to the guest\'s last answer)',
    lines: [
      { kind: 'timeline', rows: holdTimeline(evidence) },
      text(`${method}; limit of the hold ${formatMs(hold.limits.holdMs)}`),
      text(`measured by ${observerOf(evidence)} with its own clock; counts by the guest agent, ${
        printable(hold.agent, 100)}`),
      ...hold.freeze.state === 'failed'
        ? [text(`the freeze failed: ${printable(hold.freeze.fault.message)}`)] : [],
      ...hold.thaw.state === 'unknown'
        ? [text(`the thaw was not confirmed: ${printable(hold.thaw.detail)}`)] : [],
    ],
  }
}

function observerOf({ observedBy: { program, version } }: Evidence): string {
  return printable(`${program} ${version}`, 100)
}

function noHoldWords(hold: Exclude<HoldEvidence, { by: 'requestor' }>): string {
  if (hold.by === 'platform') return `by the platform itself, which claims "${hold.claimed}"`
  return hold.detail === '' ? 'nothing was held' : `nothing was held: ${printable(hold.detail)}`
}

function applicationsOf(point: RestorePoint): ReportSection | undefined {
  const { discovery } = point.evidence.applications
  if (discovery.state === 'impossible') return undefined
  return {
    title: `applications, as found by ${printable(discovery.by, 100)}`,
    lines: discovery.applications.length === 0 ? [text('none was found')]
      : point.result.applications.flatMap((application, at) =>
        applicationLines(application, discovery.applications[at])),
  }
}

function fileSystemsOf({ result, evidence }: RestorePoint): ReportSection | undefined {
  if (result.fileSystems.length > 0) {
    return {
      title: 'file systems',
      lines: result.fileSystems.map((it) => pair(it.name, CLASS_WORDS[it.class])),
    }
  }
  const { volumes } = evidence.fileSystems
  if (volumes.length === 0) return undefined
  return {
    title: 'found on the disks',
    lines: volumes.map(({ diskIds, where, type, sign, detail }) => pair(
      printable(`${diskIds.join(' ')} ${where} (${type})`),
      detail === '' ? SIGN_WORDS[sign] : `${SIGN_WORDS[sign]}: ${printable(detail, 100)}`)),
  }
}

function zerosWords(zeros: FilesAsZeros | undefined): string {
  return zeros === undefined ? ''
    : `; ${filesAsZerosWords(zeros)}, as vss-not-read.json of the point says`
}

function disksOf({ disks, evidence, result }: RestorePoint): ReportSection {
  const { reading } = evidence
  const { kind, leftOut, rechecked } = result.coverage
  const readOf = (id: string): string => {
    const disk = reading.state === 'finished'
      ? reading.disks.find(({ diskId }) => diskId === id) : undefined
    return disk === undefined
      ? '' : `, ${formatBytes(disk.bytesRead)} read (${baseWords(disk.base)})${
        zerosWords(disk.filesAsZeros)}`
  }
  return {
    title: `disks: ${kind === 'whole' ? 'all of the machine' : 'NOT ALL of the machine'}`,
    ...kind === 'whole' ? {} : { tone: 'weak', marked: 'NOT ALL' },
    lines: [
      ...disks.map(({ id, sizeBytes }) => pair(id, `${formatBytes(sizeBytes)}${readOf(id)}`)),
      ...leftOut.map(({ id, reason, detail }) =>
        pair(printable(id, 64), `left out (${reason}): ${printable(detail)}`)),
      ...rechecked ? []
        : [text('it is not known whether disks were added or removed during the snapshot')],
    ],
  }
}

function baseWords(base: DiskBase): string {
  return 'since' in base
    ? `what had changed since point ${shortId(base.since)}` : `in full: ${FULL_REASONS[base.full]}`
}

function restoreOf({ pointId, snapshotId, disks }: RestorePoint): readonly ReportSection[] {
  const id = shortId(snapshotId)
  return [
    {
      title: 'to restore it',
      lines: [command(`stillpoint restore ${shortId(pointId)} --to FOLDER`)],
    },
    {
      title: `to restore it with restic alone (restic dump ${id} /RESTORE.txt says more)`,
      lines: disks.flatMap((disk) => [
        command(`restic dump ${id} /disks/${disk.id} | tar -xOf - |`),
        command(`  dd of=./${disk.id}.raw bs=512K iflag=fullblock conv=sparse status=none &&`),
        command(`  truncate -s ${disk.sizeBytes} ./${disk.id}.raw`),
      ]),
    },
  ]
}
