/** What really was so at an instant, seen from outside: no agent, writer or platform says it. */

import { isAtRestOn, type ModelGuest } from './model-guest.ts'

export interface InstantTruth {
  /** All disks that the machine had. */
  readonly machineDisks: readonly string[]
  /** The captured ones, byte for byte. */
  readonly contents: ReadonlyMap<string, Uint8Array<ArrayBuffer>>
  /** Nothing was written between the first disk's instant and the last one's. */
  readonly isOneInstant: boolean
  readonly wasDown: boolean
  /** The file systems of the captured disks that were not frozen. */
  readonly notFrozen: readonly string[]
  /** The applications that were not held still, or whose transactions were not at rest. */
  readonly notHeld: readonly string[]
}

/** Captures `diskIds`; with `between` the instants of the disks are not the same. */
export async function captureInstant(
  guest: ModelGuest, machineDisks: readonly string[], diskIds: readonly string[],
  between: () => Promise<void>,
): Promise<InstantTruth> {
  const contents = new Map<string, Uint8Array<ArrayBuffer>>()
  const notFrozen = new Set<string>()
  const notHeld = new Set<string>()
  const before = guest.writes
  for (const [at, id] of diskIds.entries()) {
    if (at > 0) await between()
    contents.set(id, guest.contentOf(id))
    for (const { plan, hold } of guest.fileSystems) {
      if (plan.id === id && hold === undefined) notFrozen.add(plan.mountpoint)
    }
    for (const [slot, application] of guest.applications.entries()) {
      const isStill = application.isHeld &&
        [...contents].every(([disk, bytes]) =>
          !application.plan.diskIds.includes(disk) || isAtRestOn(slot, bytes))
      if (!isStill) notHeld.add(application.plan.name)
    }
  }
  return {
    machineDisks, contents, isOneInstant: guest.writes === before, wasDown: guest.isDown,
    notFrozen: [...notFrozen], notHeld: [...notHeld],
  }
}
