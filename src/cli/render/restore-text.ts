/** What a person sees after a restore. */

import { formatBytes, formatMs, printable } from '../../base/text.ts'
import { SHUTDOWN_NOTE } from '../../consistency/mod.ts'
import type { MadeMachine, RestoredPoint } from '../../engine/mod.ts'
import { qemuCommandFor, shellLine } from '../../recovery/mod.ts'
import { noPaint, type Paint } from '../paint.ts'
import { renderPairs } from './table.ts'
import { brokenSeal, GRADE_COLOUR, GRADE_MEANING, shortId, wallTime } from './words.ts'

/** After a machine was made of a point. */
export function renderMadeMachine(
  { point, name, writtenBytes, durationMs }: MadeMachine, paint: Paint = noPaint): string {
  const { grade } = point.result
  const broken = brokenSeal(point.result)
  return [
    `made ${printable(name, 64)}, which is off and has no network, of ${
      printable(point.machine.name, 64)} as it was at ${wallTime(point.timeMs)} UTC (point ${
      shortId(point.pointId)})`,
    ...renderPairs([['written', `${formatBytes(writtenBytes)} in ${formatMs(durationMs)}`]], '  '),
    `grade: ${paint(GRADE_COLOUR[grade], grade)} (${GRADE_MEANING[grade]})`,
    ...broken === undefined ? [] : [`NOT TO BE RELIED ON: ${broken.sentence}`],
    ...windowsLines(point),
  ].join('\n')
}

export function renderRestore(
  { point, restored, durationMs }: RestoredPoint, paint: Paint = noPaint): string {
  const { machine, result } = point
  const { grade } = result
  const broken = brokenSeal(result)
  const name = printable(machine.name, 64)
  return [
    `restored ${name} as it was at ${wallTime(point.timeMs)} UTC (point ${
      shortId(point.pointId)})`,
    ...renderPairs([
      ...restored.disks.map(({ id, path, sizeBytes }): readonly [string, string] =>
        [id, `${path} (${formatBytes(sizeBytes)})`]),
      ['machine', restored.machinePath],
      ['written', `${formatBytes(restored.writtenBytes)} in ${formatMs(durationMs)}`],
    ], '  '),
    ...startLines({ point, restored }),
    `grade: ${paint(GRADE_COLOUR[grade], grade)} (${GRADE_MEANING[grade]})`,
    ...broken === undefined ? [] : [`NOT TO BE RELIED ON: ${broken.sentence}`],
    ...windowsLines(point),
  ].join('\n')
}

/** The first thing that is seen of a restored Windows looks like a fault, and is none. */
function windowsLines({ evidence }: MadeMachine['point']): readonly string[] {
  const hasNtfs = evidence.fileSystems.volumes
    .some(({ type, role }) => type === 'ntfs' && role === 'file-system')
  return hasNtfs && evidence.power.before === 'running' ? [`Windows: ${SHUTDOWN_NOTE}`] : []
}

/** How to try it; nothing where disks are missing, because it would not start. */
function startLines(
  { point, restored }: Pick<RestoredPoint, 'point' | 'restored'>): readonly string[] {
  const { domainPath } = restored
  if (domainPath !== undefined) {
    return ['to start it in libvirt, under a new name and cut off from the network:',
      `  ${shellLine(['virsh', 'define', domainPath])}`]
  }
  const isWhole = restored.disks.length === point.machine.disks.length
  const command = isWhole ? qemuCommandFor(point.machine, restored.disks) : undefined
  if (command === undefined) return []
  return ['to start it in QEMU, cut off from the network (it writes to these images):',
    `  ${shellLine(command)}`]
}
