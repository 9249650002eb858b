/** `stillpoint show`: all that is known of a restore point, and how to get it back. */

import { formatBytes, formatMs, printable } from '../../base/text.ts'
import type { RestorePoint } from '../../catalog/mod.ts'
import {
  capOf, FULL_REASONS, GRADES, isWeaker, type DiskBase, type Evidence, type GradeReason,
  type HoldEvidence,
} from '../../consistency/mod.ts'
import { noPaint, type Paint } from '../paint.ts'
import { drawSpans, holdSpans } from './hold-line.ts'
import { renderPairs } from './table.ts'
import {
  adviceOf, ageWords, applicationWords, CLASS_WORDS, GRADE_COLOUR, GRADE_MEANING, limitingReasons,
  msOrDash, POWER_WORDS, shortId, SIGN_WORDS, sizeOrDash, wallTime,
} from './words.ts'

/** `nowMs` is wall time, for the age. Sections without content are left out. */
export function renderPoint(point: RestorePoint, nowMs: number, paint: Paint = noPaint): string {
  const sections = [
    headOf(point, nowMs),
    gradeOf(point, paint),
    holdOf(point),
    fileSystemsOf(point),
    applicationsOf(point),
    disksOf(point),
    restoreOf(point),
  ]
  return sections.filter((lines) => lines.length > 0).map((lines) => lines.join('\n')).join('\n\n')
}

function headOf(point: RestorePoint, nowMs: number): readonly string[] {
  const { machine, evidence } = point
  return [
    `restore point ${shortId(point.pointId)} of ${printable(machine.name, 64)}`,
    ...renderPairs([
      ['taken', `${wallTime(point.timeMs)} UTC, ${ageWords(point.timeMs, nowMs)}`],
      ['machine', `${machine.platform}, ${machine.cpuCount} CPU, ${
        formatBytes(machine.memoryBytes)} memory, ${machine.firmware} firmware, was ${
        POWER_WORDS[evidence.power.before]}`],
      ['point', point.pointId],
      ['snapshot', `${point.snapshotId} (for restic)`],
      ['size', `${formatBytes(point.sizeBytes)}; its backup added ${
        sizeOrDash(point.bytesAdded)} to the repository`],
    ], '  '),
  ]
}

function gradeOf(point: RestorePoint, paint: Paint): readonly string[] {
  const { result, claimed } = point
  const { grade, reasons } = result
  const limiting = limitingReasons(grade, reasons)
  const next = GRADES.find((higher) => isWeaker(grade, higher) &&
    limitingReasons(higher, reasons).length > 0)
  const remarks = reasons.filter(({ code }) => capOf(code) === 'application')
  const said = claimed === grade ? [] : [`  NOTE: it was tagged ${claimed ?? 'without a grade'
    } when it was stored; the evidence supports no more than this`]
  return [
    `grade: ${paint(GRADE_COLOUR[grade], grade)} (${GRADE_MEANING[grade]})`,
    ...said,
    ...limiting.length === 0 ? [] : ['  why not higher', ...limiting.flatMap(withAdvice)],
    ...next === undefined ? []
      : [`  with that cured it would be ${next}, because`,
        ...limitingReasons(next, reasons).flatMap(withAdvice)],
    ...remarks.length === 0 ? [] : ['  it rests on', ...remarks.map((it) => `    ${it.sentence}`)],
    `  required was ${point.evidence.policy.require} (${ORIGIN[point.evidence.policy.origin]})`,
  ]
}

function withAdvice(reason: GradeReason): readonly string[] {
  const advice = adviceOf(reason)
  return [`    ${reason.sentence}`, ...advice === '' ? [] : [`      to raise it: ${advice}`]]
}

const ORIGIN: Readonly<Record<Evidence['policy']['origin'], string>> = {
  'operator': 'as set by the operator',
  'best-so-far': 'the best grade the machine had had',
  'predicted': 'what its first backup was expected to reach',
}

function holdOf({ evidence, heldMs, stalledMs }: RestorePoint): readonly string[] {
  const { hold, instant } = evidence
  const method = `all disks captured ${instant.oneInstant ? 'at one instant' : 'NOT at one instant'
    }, within ${formatMs(instant.endMs - instant.startMs)} (${printable(instant.method, 64)})`
  if (hold.by !== 'requestor') return [`hold: ${noHoldWords(hold)}`, `  ${method}`]
  return [
    `hold: writes were held for ${msOrDash(heldMs)} (${msOrDash(stalledMs)} from the request to ` +
      'the guest\'s last answer)',
    ...drawSpans(holdSpans(evidence)).map((line) => `  ${line}`.trimEnd()),
    `  ${method}; limit of the hold ${formatMs(hold.limits.holdMs)}`,
    `  guest agent: ${printable(hold.agent, 100)}`,
    ...hold.freeze.state === 'failed'
      ? [`  the freeze failed: ${printable(hold.freeze.fault.message)}`] : [],
    ...hold.thaw.state === 'unknown'
      ? [`  the thaw was not confirmed: ${printable(hold.thaw.detail)}`] : [],
  ]
}

function noHoldWords(hold: Exclude<HoldEvidence, { by: 'requestor' }>): string {
  if (hold.by === 'platform') return `by the platform itself, which claims "${hold.claimed}"`
  return hold.detail === '' ? 'nothing was held' : `nothing was held: ${printable(hold.detail)}`
}

function fileSystemsOf({ result, evidence }: RestorePoint): readonly string[] {
  if (result.fileSystems.length > 0) {
    return ['file systems', ...renderPairs(result.fileSystems.map((it) =>
      [it.name, CLASS_WORDS[it.class]]), '  ')]
  }
  const { volumes } = evidence.fileSystems
  if (volumes.length === 0) return []
  const pairs = volumes.map(({ diskIds, where, type, sign, detail }) => [
    printable(`${diskIds.join(' ')} ${where} (${type})`),
    detail === '' ? SIGN_WORDS[sign] : `${SIGN_WORDS[sign]}: ${printable(detail, 100)}`,
  ] as const)
  return ['found on the disks', ...renderPairs(pairs, '  ')]
}

function applicationsOf({ result }: RestorePoint): readonly string[] {
  if (result.applications.length === 0) return []
  return ['applications', ...result.applications.flatMap((application) => [
    `  ${application.name}: ${applicationWords(application)}`,
    ...application.reason === undefined ? [] : [`    ${application.reason.sentence}`],
  ])]
}

function disksOf({ disks, evidence, result }: RestorePoint): readonly string[] {
  const { reading } = evidence
  const readOf = (id: string): string => {
    const disk = reading.state === 'finished'
      ? reading.disks.find(({ diskId }) => diskId === id) : undefined
    return disk === undefined
      ? '' : `, ${formatBytes(disk.bytesRead)} read (${baseWords(disk.base)})`
  }
  return [
    `disks: ${result.coverage.kind === 'whole' ? 'all of the machine' : 'NOT ALL of the machine'}`,
    ...renderPairs([
      ...disks.map(({ id, sizeBytes }): readonly [string, string] =>
        [id, `${formatBytes(sizeBytes)}${readOf(id)}`]),
      ...result.coverage.leftOut.map(({ id, reason, detail }): readonly [string, string] =>
        [printable(id, 64), `left out (${reason}): ${printable(detail)}`]),
    ], '  '),
    ...result.coverage.rechecked ? []
      : ['  it is not known whether disks were added or removed during the snapshot'],
  ]
}

function baseWords(base: DiskBase): string {
  return 'since' in base
    ? `what had changed since point ${shortId(base.since)}` : `in full: ${FULL_REASONS[base.full]}`
}

function restoreOf({ pointId, snapshotId, disks }: RestorePoint): readonly string[] {
  const id = shortId(snapshotId)
  return [
    'to restore it',
    `  stillpoint restore ${shortId(pointId)} --to FOLDER`,
    `to restore it with restic alone (restic dump ${id} /RESTORE.txt says more)`,
    ...disks.flatMap((disk) => [
      `  restic dump ${id} /disks/${disk.id} | tar -xOf - |`,
      `    dd of=./${disk.id}.raw bs=512K iflag=fullblock conv=sparse status=none &&`,
      `    truncate -s ${disk.sizeBytes} ./${disk.id}.raw`,
    ]),
  ]
}
