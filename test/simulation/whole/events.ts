/** What happens by itself in a run: each event waits for its moment, and then its time. */

import { Fault } from '../../../src/base/fault.ts'
import type { Excuse } from './judge.ts'
import type { ModelGuardian } from './model-guardian.ts'
import type { ModelMachine } from './model-machine.ts'
import type { EventKind, FaultEvent, Moment, RunPlan } from './plan-of-faults.ts'
import type { SimulatedProcess } from './process.ts'
import type { VirtualClock } from './virtual-clock.ts'

export interface EventParts {
  readonly plan: RunPlan
  readonly machine: ModelMachine
  readonly common: VirtualClock
  readonly process: SimulatedProcess
  readonly controller: AbortController
  readonly excuses: Excuse[]
  readonly note: (text: string) => void
  readonly onEvent: (kind: EventKind) => void
  /** A guardian is dead; a requestor's death is told by itself. */
  readonly onDeath: () => void
}

/** A thaw that is lost with an agent is given up after the guardian's patience, and sent again. */
export const PATIENCE_MS = 32_000

/** What is to be called at each moment of the run. */
export function armEvents(parts: EventParts): (moment: Moment) => void {
  const waiting = new Set(parts.plan.events)
  return (moment) => {
    for (const event of waiting) {
      if (event.on !== moment) continue
      waiting.delete(event)
      parts.common.after(event.afterMs, () => {
        if (parts.process.hasEnded) return
        parts.note(`${event.kind} (${moment} + ${event.afterMs.toFixed(1)} ms)`)
        parts.onEvent(event.kind)
        happen(event, parts)
      })
    }
  }
}

function happen(event: FaultEvent, parts: EventParts): void {
  const { machine, common, process, controller } = parts
  const { guest, guestAgent, agent } = machine
  switch (event.kind) {
    case 'a file system is thawed':
      guest.thaw(itemAt(machine.plan.disks, event.which)?.mountpoint)
      return
    case 'all is thawed': guest.thaw(); return
    case 'an application is restarted':
      itemAt(guest.applications, event.which)?.restart()
      return
    case 'the agent is restarted': agent?.restart(); return
    case 'qemu-ga is restarted':
      excuse(parts, PATIENCE_MS)
      guestAgent.restart()
      return
    case 'qemu-ga is silent': return silence(event, parts)
    case 'the requestor is killed': process.kill(); return
    case 'the guardian is killed': return killGuardian(event, parts)
    case 'both are killed':
      for (const guardian of guardiansOf(parts)) guardian.kill()
      process.kill()
      return
    case 'the requestor stands still': return stopRequestor(event, parts)
    case 'the host stands still': return standStill(event, parts)
    case 'the wall clock is set':
      common.stepWall((event.which - 5) * 3_600_000)
      return
    case 'the run is interrupted':
      controller.abort(new Fault('interrupted', 'by hand'))
      return
    case 'a disk is added': machine.addDisk(); return
    case 'the machine is started': guest.powerOn(); return
    default: event.kind satisfies never
  }
}

/** Those of this run: one of an earlier run may still be at work. */
function guardiansOf({ process, machine: { guardians } }: EventParts): readonly ModelGuardian[] {
  return guardians.filter(({ of }) => of === process).map(({ guardian }) => guardian)
}

/** Sometimes its replacement dies as well, while it releases what the first one held. */
function killGuardian({ which }: Pick<FaultEvent, 'which'>, parts: EventParts): void {
  const { process, common } = parts
  for (const guardian of guardiansOf(parts)) guardian.kill()
  parts.onDeath()
  if (which % 3 === 0) {
    common.after(1, () => { if (!process.hasEnded) killGuardian({ which: 1 }, parts) })
  }
}

function silence({ lastsMs }: FaultEvent, parts: EventParts): void {
  const { guestAgent } = parts.machine
  excuse(parts, lastsMs + PATIENCE_MS)
  guestAgent.habits = { ...guestAgent.habits, isSilent: true }
  parts.common.after(lastsMs, () => {
    guestAgent.habits = { ...guestAgent.habits, isSilent: false }
  })
}

/** Its guardian keeps the deadlines; if that dies too, nobody replaces it. */
function stopRequestor({ lastsMs }: FaultEvent, parts: EventParts): void {
  const { process, common, excuses, machine: { guardians } } = parts
  const fromMs = common.monotonicMs()
  process.clock.stop()
  common.after(lastsMs, () => {
    const isAlive = guardians.some(({ guardian }) => !guardian.hasExited)
    if (!isAlive) excuses.push({ fromMs, toMs: common.monotonicMs() })
    process.clock.go()
  })
}

/** The host of the requestor and its guardians; the machine runs elsewhere and goes on. */
function standStill({ lastsMs }: FaultEvent, parts: EventParts): void {
  const { process, machine: { guardians } } = parts
  excuse(parts, lastsMs)
  const stopped = guardians.map(({ guardian }) => guardian)
  process.clock.stop()
  for (const guardian of stopped) guardian.stop()
  parts.common.after(lastsMs, () => {
    process.clock.go()
    for (const guardian of stopped) guardian.go()
  })
}

function excuse({ common, excuses }: EventParts, ms: number): void {
  const fromMs = common.monotonicMs()
  excuses.push({ fromMs, toMs: fromMs + ms })
}

function itemAt<T>(items: readonly T[], which: number): T | undefined {
  return items[which % items.length]
}
