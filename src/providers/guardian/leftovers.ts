/** Releases what an earlier run left held: the first thing of every prepare. */

import type { Clock } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import { startGuardian, type GuardianSettings, type StartGuardian } from './guardian-process.ts'
import { parseRelease } from './protocol.ts'
import { isGuardianAlive, listRecords, type HoldRecord, type HoldSockets } from './record.ts'

/** For one guest to be shown thawed; a hook may take its time. */
const RECOVER_MS = 60_000
/** A guardian at work is waited for this long: it is nearly done, or another run is. */
const WAIT_MS = 10_000
const PAUSE_MS = 100

/** What became of a record of an earlier run. */
export interface Leftover {
  readonly record: HoldRecord
  readonly released: boolean
  /** Why it is not known to be released. */
  readonly detail: string
}

/**
 * Releases every hold recorded in `runDir` for one of `sockets`. A hold that cannot be shown to be
 * released is returned as such and its record kept. Faults: `machine-busy` while another run's
 * guardian holds it, or the signal's reason.
 */
export async function thawLeftovers(
  runDir: string, sockets: HoldSockets, clock: Clock, settings: GuardianSettings,
  signal: AbortSignal, start: StartGuardian = startGuardian,
): Promise<readonly Leftover[]> {
  const leftovers: Leftover[] = []
  for (const { file, record } of listRecords(runDir)) {
    if (!concerns(record, sockets)) continue
    await waitForItsGuardian(file, record, runDir, clock, signal)
    if (!listRecords(runDir).some((entry) => entry.file === file)) continue
    await using guardian = start(clock, settings)
    const release = parseRelease(await guardian.ask(
      { do: 'recover', recordFile: file, nodePrefix: '', limitMs: RECOVER_MS }, RECOVER_MS * 2))
    leftovers.push({ record, released: release.state !== 'unknown',
      detail: release.state === 'unknown' ? release.detail : '' })
  }
  return leftovers
}

function concerns(record: HoldRecord, sockets: HoldSockets): boolean {
  const same = (a: string | undefined, b: string | undefined): boolean =>
    a !== undefined && a === b
  return same(record.sockets.agent, sockets.agent) || same(record.sockets.qmp, sockets.qmp)
}

async function waitForItsGuardian(
  file: string, record: HoldRecord, runDir: string, clock: Clock, signal: AbortSignal,
): Promise<void> {
  const endMs = clock.monotonicMs() + WAIT_MS
  while (isGuardianAlive(record)) {
    if (!listRecords(runDir).some((entry) => entry.file === file)) return
    if (clock.monotonicMs() >= endMs) {
      throw new Fault('machine-busy', 'the guardian of another run holds the guest', {
        retry: 'later', advice: `Wait for the other run to end (guardian process ${record.pid}).` })
    }
    await clock.sleep(PAUSE_MS, signal)
  }
}
