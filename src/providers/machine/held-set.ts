/** What all sets that we hold do alike, whatever runs their machine. */

import { Fault, isFault } from '../../base/fault.ts'
import type { CommittedSet, PowerState } from '../../consistency/mod.ts'
import type { BlockSource } from '../../disk/mod.ts'

/** Undefined in a state that cannot be captured, and so not be told either. */
export async function powerIfKnown(
  read: () => Promise<PowerState>): Promise<PowerState | undefined> {
  try {
    return await read()
  } catch (error) {
    if (isFault(error, 'machine-not-ready')) return undefined
    throw error
  }
}

/** Where in `disks` the one of that id is, and it. Faults: `not-found`. */
export function findDisk<Disk extends { readonly id: string }>(
  disks: readonly Disk[], diskId: string): readonly [number, Disk] {
  const index = disks.findIndex(({ id }) => id === diskId)
  const disk = disks[index]
  if (disk === undefined) throw new Fault('not-found', `no disk ${diskId} in the captured set`)
  return [index, disk]
}

/** The instant is intact unless `check` throws, for a reason other than the signal's. */
export async function intactUnless(
  check: () => Promise<void>, signal: AbortSignal): ReturnType<CommittedSet['stillIntact']> {
  try {
    await check()
    return { intact: true }
  } catch (error) {
    if (signal.aborted) throw error
    return { broken: error instanceof Error ? error.message : String(error) }
  }
}

/** Measured with QEMU: once a copy has failed, each read of any part is refused, for ever. */
export async function readEach(
  disks: readonly { readonly id: string; readonly sizeBytes: number }[],
  open: (diskId: string) => Promise<BlockSource>, signal: AbortSignal,
): Promise<void> {
  for (const { id, sizeBytes } of disks) {
    await using disk = await open(id)
    await disk.read(0, Math.min(512, sizeBytes), signal)
  }
}
