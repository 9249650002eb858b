/** What shows that a checkpoint of Hyper-V held the guest. Pure. The grade is `gradeOf`'s. */

import { canonicalJson } from '../../base/canonical-json.ts'
import { printable } from '../../base/text.ts'
import type { PlatformQuiesce } from '../../consistency/mod.ts'
import type { HypervMachine } from './host-answers.ts'
import { guestKind, powerOf, serviceOf } from './machine.ts'
import type { TrackedPoint } from './tracking-record.ts'

export interface QuiesceFacts {
  readonly level: 1 | 2
  /** Why level 1 was not asked for, or failed; empty where it was made. */
  readonly why: string
  readonly before: HypervMachine
  readonly after: HypervMachine
  /** What the host said of the point before this one. */
  readonly previous: TrackedPoint | undefined
}

/**
 * A checkpoint of level 1 that the host made, with the guest's part of backup at work before and
 * after, shows file systems. Which applications took part the host does not say.
 */
export function assessQuiesce(
  { level, why, before, after, previous }: QuiesceFacts): PlatformQuiesce {
  const kind = guestKind(before)
  const answered = [before, after].every((machine) =>
    serviceOf(machine, 'vss')?.primary === 'Ok' && powerOf(machine) === 'running')
  const isHeld = level === 1 && answered
  const text = canonicalJson({
    askedLevel: level, made: true, why: printable(why, 1000),
    guest: printable(before.guestOs ?? '', 200),
    backupServiceBefore: statusOf(before), backupServiceAfter: statusOf(after),
    machineVersion: printable(before.version, 40),
    previousReferencePoint: previous === undefined ? null
      : { pointId: previous.pointId, consistencyLevel: previous.consistencyLevel },
  })
  return {
    claimed: level === 2 ? 'none' : kind === 'windows' ? 'application' : 'filesystem',
    documents: [{
      name: 'hyperv-checkpoint.json', text, shows: isHeld ? 'filesystem' : 'nothing' }],
  }
}

function statusOf(machine: HypervMachine): string {
  const vss = serviceOf(machine, 'vss')
  return vss === undefined ? 'none'
    : printable(`${vss.enabled ? 'enabled' : 'disabled'}, ${vss.primary}`, 100)
}
