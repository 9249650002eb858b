/** Whether a restored guest holds what it must: the judge of the demonstration and of tests. */

import type { BootReport, TableReport, Witness } from './witness.ts'

/** When the disks were captured, by this host's wall clock. */
export interface CaptureWindow {
  readonly startMs: number
  readonly endMs: number
}

export interface RowExpectation {
  /** The table on the first disk, the one on the second that follows it, if any, then others. */
  readonly tables: readonly string[]
  /** What the guest acknowledged while it ran. */
  readonly witness: Pick<Witness, 'lastAcknowledgedBy'>
  readonly captured: CaptureWindow
  /** True if the point claims frozen file systems: then none may have to recover. */
  readonly claimsFrozen: boolean
}

export interface Finding {
  readonly holds: boolean
  /** One sentence: what was checked. */
  readonly claim: string
  /** The figures that it was judged by. */
  readonly detail: string
}

/** A row that was durable at the instant is acknowledged within this time of it. */
const ACKNOWLEDGEMENT_DELAY_MS = 1000

/** What the boot of the restored disks shows; every finding must hold. */
export function checkRows(boot: BootReport, expected: RowExpectation): readonly Finding[] {
  const tables = expected.tables.flatMap((name) => {
    const found = boot.tables.get(name)
    return found === undefined
      ? [{ holds: false, claim: `Table ${name}: it is there`, detail: 'it is not' }]
      : checkTable(name, found, expected)
  })
  return [...tables, ...checkCanary(boot, expected), ...checkDisks(boot, expected)]
}

function checkTable(
  name: string, found: TableReport, { witness, captured }: RowExpectation): readonly Finding[] {
  const before = witness.lastAcknowledgedBy(name, captured.startMs)?.id ?? 0
  const soonAfter =
    witness.lastAcknowledgedBy(name, captured.endMs + ACKNOWLEDGEMENT_DELAY_MS)?.id ?? 0
  return [
    {
      // A table without acknowledged rows would let an empty disk pass.
      holds: before > 0 && found.maxId >= before && found.count === found.maxId,
      claim: `Table ${name}: no row acknowledged before the instant is missing`,
      detail: `${before} acknowledged, ${found.count} found, the last is ${found.maxId}`,
    },
    {
      holds: found.maxId <= soonAfter + 1,
      claim: `Table ${name}: no row is from after the instant`,
      detail: `the last is ${found.maxId}; a second later it was ${soonAfter}`,
    },
    {
      holds: found.integrity === 'ok',
      claim: `Table ${name}: the database finds it intact`,
      detail: found.integrity,
    },
  ]
}

/** Row n reaches the second disk only when it is durable on the first, and the next waits. */
function checkCanary(boot: BootReport, { tables }: RowExpectation): readonly Finding[] {
  const [rows, canary] = tables.map((table) => boot.tables.get(table)?.maxId)
  if (rows === undefined || canary === undefined) return []
  return [{
    holds: canary === rows || canary === rows - 1,
    claim: 'Both disks show the same instant',
    detail: `the first ends at ${rows}, and the second, which follows it, at ${canary}`,
  }]
}

function checkDisks(boot: BootReport, { claimsFrozen }: RowExpectation): readonly Finding[] {
  const disks = [...boot.disks]
  const recovered = disks.filter(([, { recovered }]) => recovered).map(([id]) => id)
  const unmounted = disks.filter(([, { mounted }]) => !mounted).map(([id]) => id)
  return [
    {
      holds: disks.length > 0 && unmounted.length === 0,
      claim: 'Every disk has its file system',
      detail: unmounted.length === 0
        ? disks.map(([id, { fileSystem }]) => `${id} ${fileSystem}`).join(', ')
        : `not mounted: ${unmounted.join(', ')}`,
    },
    ...(claimsFrozen ? [{
      holds: recovered.length === 0,
      claim: 'No file system had to recover: it was frozen, as the grade says',
      detail: recovered.length === 0
        ? 'no journal was replayed' : `recovered: ${recovered.join(', ')}`,
    }] : []),
  ]
}
