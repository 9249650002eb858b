/**
 * Applications that the freeze of the file systems holds itself, through a hook in the guest: their
 * agent is told of the freeze and the thaw by the platform's agent, not by us (docs/agent.md).
 *
 * Nothing is asked of it while the guest is held. What counts afterwards is the token that it left:
 * the nonce of this run shows that it was this freeze. Our own clock bounds the hold.
 */

import type {
  HoldEvidence, InstantEvidence, LogPositions, StepFault, WriterEvidence, WriterFreezeEvidence,
  WriterHold, WriterThawEvidence,
} from './evidence.ts'
import { observedPositions, observedText } from './observed.ts'
import type { PreparedWriter, WriterStatement, WriterThawOutcome } from './writer.ts'

export interface FreezeHooks {
  /** Why a freeze would not reach the applications, where that is known before. */
  readonly ignored?: string
  /** What the token says that this run's freeze left. Asked after the thaw; never rejects. */
  report(signal: AbortSignal): Promise<HookReport>
}

/** `missing`: there is no token of this run's freeze, and why. */
export type HookReport = { readonly missing: string } | {
  /** `failed`: nothing was held; `frozen`: the agent was not told of the thaw, or did not live. */
  readonly state: 'failed' | 'frozen' | 'thawed'
  /** By name; those that were prepared. */
  readonly applications: ReadonlyMap<string, HookedApplication>
}

export interface HookedApplication {
  readonly held: StepFault | (WriterStatement & { readonly positions: LogPositions | null })
  /** Null where nothing is known of it. */
  readonly thawed: WriterThawOutcome | null
  /** From its acknowledgement to its thaw, by the clock of the machine. */
  readonly heldMs: number | null
}

/** Two clocks: theirs may be slower, and stands still while the machine is stopped. */
const SLOWER = 0.95
const SLACK_MS = 100

/** What each of `writers` did, by the name of its application. Pure. */
export function hookedEvidence(
  writers: readonly PreparedWriter[], report: HookReport, hold: HoldEvidence,
  instant: InstantEvidence,
): ReadonlyMap<string, WriterEvidence> {
  return new Map(writers.map((writer) =>
    [writer.application.name, evidenceOf(writer, report, hold, instant)]))
}

function evidenceOf(
  { application: { name }, contract, limits }: PreparedWriter, report: HookReport,
  hold: HoldEvidence, instant: InstantEvidence,
): WriterEvidence {
  if (hold.by !== 'requestor') return { contract: 'none', reason: 'not-tried', detail: '' }
  if ('missing' in report) {
    return { contract: 'none', reason: 'hook-not-run', detail: observedText(report.missing) }
  }
  const said = report.applications.get(name)
  if (report.state === 'failed' && !(said !== undefined && 'message' in said.held)) {
    return { contract: 'none', reason: 'hook-failed', detail: whoFailed(report.applications) }
  }
  if (said === undefined) {
    const detail = 'the token says nothing of it'
    return { contract: 'none', reason: 'hook-not-run', detail }
  }
  const thaw = thawOf(said, hold, instant)
  const kept: WriterHold = { limitMs: limits.holdMs, freeze: freezeOf(said, hold), thaw }
  return contract.kind === 'held' ? { contract: 'held', ...kept }
    : { contract: 'recoverable', durability: contract.durability, ...kept }
}

function whoFailed(applications: ReadonlyMap<string, HookedApplication>): string {
  const failed = [...applications].flatMap(([name, { held }]) =>
    'message' in held ? [`${name}: ${held.message}`] : [])
  return observedText(failed.length === 0 ? 'the hook failed' : failed.join('; '))
}

type RequestorHold = Extract<HoldEvidence, { by: 'requestor' }>

/** It was asked after our freeze was issued, and had answered before that was acknowledged. */
function freezeOf({ held }: HookedApplication, { freeze }: RequestorHold): WriterFreezeEvidence {
  const { issuedMs } = freeze
  if ('message' in held) {
    const failedMs = freeze.state === 'failed' ? freeze.failedMs : freeze.acknowledgedMs
    const fault = { code: held.code.slice(0, 256), message: observedText(held.message) }
    return { state: 'failed', issuedMs, failedMs, fault }
  }
  if (freeze.state === 'failed') {
    return { state: 'failed', issuedMs, failedMs: freeze.failedMs, fault: freeze.fault }
  }
  const { acknowledgedMs } = freeze
  return {
    state: 'acknowledged', issuedMs, acknowledgedMs, statement: observedText(held.statement),
    positions: observedPositions(held.positions) }
}

/** It was asked after our thaw was issued, and had answered before that was acknowledged. */
function thawOf(
  { thawed, heldMs }: HookedApplication, { freeze, thaw }: RequestorHold, instant: InstantEvidence,
): WriterThawEvidence {
  const { issuedMs } = thaw
  if (thawed === null) {
    return { state: 'unknown', issuedMs, detail: 'the agent did not see the thaw' }
  }
  if (thawed.state === 'unknown') {
    return { state: 'unknown', issuedMs, detail: observedText(thawed.detail) }
  }
  if (thaw.state !== 'thawed' || freeze.state !== 'acknowledged') {
    return { state: 'unknown', issuedMs, detail: 'the thaw of the file systems is not known' }
  }
  // Without the snapshot itself, in which the machine may have stood still.
  const leastMs = instant.startMs - freeze.acknowledgedMs + thaw.issuedMs - instant.endMs
  const isLongEnough = heldMs !== null && heldMs >= leastMs * SLOWER - SLACK_MS
  const times = `held for ${heldMs === null ? 'an unknown time' : `${Math.round(heldMs)} ms`} ` +
    `by the clock of the machine${isLongEnough ? '' : ', which is less than the file systems'}`
  return {
    state: 'thawed', issuedMs, acknowledgedMs: thaw.acknowledgedMs,
    heldThroughout: thawed.heldThroughout && isLongEnough,
    statement: observedText(`${thawed.statement}; ${times}`) }
}
