/**
 * The coordinator: what happens around the instant (docs/architecture.md).
 *
 * ```text
 *  ┌ hold ── freeze writers → freeze file systems → commit the snapshot set
 *  └──────── thaw file systems → thaw writers
 * ```
 *
 * The thaw follows any attempted freeze, however freeze, commit or caller end. While something is
 * held nothing is logged, opened or started here; what happens is noted in memory.
 */

import { abortable, deadline, throwIfAborted, type Clock } from '../base/clock.ts'
import { unreachable } from '../base/unreachable.ts'
import type {
  FileSystemList, FreezeEvidence, HoldEvidence, InstantEvidence, NoHold, PowerState, ThawEvidence,
  WriterEvidence,
} from './evidence.ts'
import type { FileSystemFreezer, FreezeLimits, ThawOutcome } from './freezer.ts'
import { freezeFault, HoldStep, type HoldEvent, type Note } from './hold-step.ts'
import { observedDocuments, observedFault, observedList, observedText } from './observed.ts'
import type {
  CommittedSet, PlatformHeldSet, PreparedSet, RequestorHeldSet, StatedApplications,
} from './provider.ts'
import type { PreparedWriter } from './writer.ts'
import { WriterStep } from './writer-step.ts'

export interface HoldRequest {
  readonly set: PreparedSet
  /** Frozen in this order, thawed in the reverse one. They stay the caller's. */
  readonly writers: readonly PreparedWriter[]
  readonly limits: FreezeLimits
  /** False if the operator wants none: then the set is committed with nothing held. */
  readonly mayFreeze: boolean
  /**
   * What to do when something could not be frozen: commit with less held, which the evidence then
   * says, or throw the freeze's fault without a commit.
   */
  readonly whenFreezeFails: 'commit-anyway' | 'fail'
  readonly clock: Clock
  /** Called at once for each step; must only keep it in memory. Also called when it ends badly. */
  readonly note: Note
}

export interface HoldOutcome {
  /** Lives until the caller disposes the PreparedSet. */
  readonly committed: CommittedSet
  readonly hold: HoldEvidence
  readonly instant: InstantEvidence
  /** The agent's list before the freeze and after the thaw. */
  readonly lists: { readonly before: FileSystemList; readonly after: FileSystemList }
  /** What each writer did, by the name of its application. */
  readonly writers: ReadonlyMap<string, WriterEvidence>
  /** The applications that a platform held instead, and those beside them. */
  readonly stated: StatedApplications
}

/** For the agent's list of file systems, outside the hold: it answers in milliseconds or never. */
const LIST_LIMIT_MS = 10_000

/**
 * Holds what can be held, takes the snapshot set, and releases everything before it returns or
 * throws. Faults: those of `commit`; with `fail` those of a freeze; the signal's reason.
 */
export async function holdAndCommit(
  request: HoldRequest, signal: AbortSignal): Promise<HoldOutcome> {
  throwIfAborted(signal)
  const { set } = request
  const nobody = whyNobody(request)
  if (set.heldBy === 'platform') return commitQuiesced(request, set, nobody, signal)
  const { freezer } = set
  if (nobody !== undefined) return commitUnheld(request, set, nobody, signal)
  if ('missing' in freezer) {
    const detail = observedText(freezer.detail)
    return commitUnheld(request, set, { by: 'nobody', reason: freezer.missing, detail }, signal)
  }
  return commitHeld(request, set, freezer, signal)
}

const NO_GUEST: Readonly<Record<Exclude<PowerState, 'running'>, NoHold>> = {
  paused: { by: 'nobody', reason: 'paused', detail: 'the machine is paused' },
  saved: { by: 'nobody', reason: 'saved', detail: 'the machine is saved' },
  off: { by: 'nobody', reason: 'powered-off', detail: 'the machine is powered off' },
}

function whyNobody({ set, mayFreeze }: HoldRequest): NoHold | undefined {
  if (set.power !== 'running') return NO_GUEST[set.power]
  if (mayFreeze) return undefined
  return { by: 'nobody', reason: 'declined', detail: 'the operator asked for no freeze' }
}

async function commitUnheld(
  request: HoldRequest, set: RequestorHeldSet, hold: NoHold, signal: AbortSignal,
): Promise<HoldOutcome> {
  const { committed, instant } = await commit(request, () => set.commit(signal))
  return {
    committed, instant, hold, lists: noLists(hold.detail), writers: untried(request), stated: {},
  }
}

async function commitHeld(
  request: HoldRequest, set: RequestorHeldSet, freezer: FileSystemFreezer, signal: AbortSignal,
): Promise<HoldOutcome> {
  const { clock, note, limits } = request
  const before = await listFileSystems(freezer, clock, signal)
  throwIfAborted(signal)
  const writers = request.writers.map((writer) => new WriterStep(writer, clock, note))
  const guest = new HoldStep(
    'the file systems', () => freezer.beginFreeze(limits), limits, clock, note)
  await using thaws = new AsyncDisposableStack()
  for (const { step } of [...writers, { step: guest }]) {
    thaws.defer(async () => { await step.thaw() }) // registered before the first byte is sent
    const frozen = await step.freeze(signal)
    throwIfAborted(signal)
    if (frozen.state === 'failed' && request.whenFreezeFails === 'fail') {
      throw freezeFault(step.subject, frozen.error)
    }
  }
  // What was half frozen is of no use and must not be felt for longer.
  if (guest.frozen?.state !== 'acknowledged') await thaws.disposeAsync()
  const { committed, instant } = await commit(request, () => set.commit(signal))
  await thaws.disposeAsync()
  throwIfAborted(signal)
  const after = await listFileSystems(freezer, clock, signal)
  throwIfAborted(signal)
  const held = new Map<string, WriterEvidence>()
  for (const writer of writers) held.set(writer.step.subject, await writer.evidence())
  return {
    committed,
    instant,
    hold: {
      by: 'requestor', agent: observedText(freezer.agent), limits,
      freeze: freezeEvidence(guest), thaw: await thawEvidence(guest),
    },
    lists: { before, after },
    writers: held,
    stated: {},
  }
}

async function commitQuiesced(
  request: HoldRequest, set: PlatformHeldSet, nobody: NoHold | undefined, signal: AbortSignal,
): Promise<HoldOutcome> {
  const wish = nobody !== undefined ? 'never'
    : request.whenFreezeFails === 'fail' ? 'or-fail' : 'if-possible'
  const { committed, instant } = await commit(request, () => set.commitQuiesced(wish, signal))
  const { claimed, documents, session, writers = [], unheld } = committed.quiesce
  const looked = unheld === undefined ? {} : { unheld } // without it nobody did
  return {
    committed, instant,
    hold: nobody ?? {
      by: 'platform', claimed, documents: observedDocuments(documents),
      ...session === undefined ? {} : { session },
    },
    lists: noLists('the platform holds this machine'),
    writers: untried(request),
    stated: nobody === undefined ? { writers, ...looked } : looked,
  }
}

/** Runs the one call that takes the set, and says when it did. */
async function commit<Set extends CommittedSet>(
  { set, clock, note }: HoldRequest, take: () => Promise<Set>,
): Promise<{ readonly committed: Set; readonly instant: InstantEvidence }> {
  const noted = (event: HoldEvent['event'], detail = ''): number => {
    const atMs = clock.monotonicMs()
    note({ atMs, event, subject: '', detail })
    return atMs
  }
  const startMs = noted('commit-issued')
  try {
    const committed = await take()
    const endMs = noted('commit-done')
    const takenAt = new Date(clock.nowMs()).toISOString()
    const disks = set.disks.map(({ id, sizeBytes }) => ({ id, sizeBytes }))
    const { method, oneInstant } = committed
    return { committed, instant: { method, oneInstant, startMs, endMs, takenAt, disks } }
  } catch (error) {
    noted('commit-failed', error instanceof Error ? error.message : String(error))
    throw error
  }
}

/** What the agent lists, or why not; no fault, since a backup without it is still one. */
async function listFileSystems(
  freezer: FileSystemFreezer, clock: Clock, signal: AbortSignal): Promise<FileSystemList> {
  using limit = deadline(clock, LIST_LIMIT_MS, 'the list of file systems', signal)
  try {
    return observedList(await abortable(freezer.fileSystems(limit.signal), limit.signal))
  } catch (error) {
    return { state: 'unavailable', reason: observedFault(error).message }
  }
}

function noLists(reason: string): HoldOutcome['lists'] {
  const list = { state: 'unavailable', reason } as const
  return { before: list, after: list }
}

function untried({ writers }: HoldRequest): ReadonlyMap<string, WriterEvidence> {
  return new Map(writers.map(({ application }) =>
    [application.name, { contract: 'none', reason: 'not-tried', detail: '' }]))
}

type GuestStep = HoldStep<{ readonly count: number }, ThawOutcome>

function freezeEvidence({ frozen }: GuestStep): FreezeEvidence {
  if (frozen?.state === 'acknowledged') {
    const { issuedMs, acknowledgedMs, answer } = frozen
    return { state: 'acknowledged', issuedMs, acknowledgedMs, count: answer.count }
  }
  const { issuedMs = 0, failedMs = 0, error } = frozen ?? {}
  return { state: 'failed', issuedMs, failedMs, fault: observedFault(error) }
}

async function thawEvidence(guest: GuestStep): Promise<ThawEvidence> {
  const thawed = await guest.thaw()
  const { issuedMs = 0, outcome } = thawed ?? {}
  if (outcome === undefined) {
    return { state: 'unknown', issuedMs, detail: 'no answer within its limit' }
  }
  switch (outcome.state) {
    case 'thawed': {
      const { count = null, early, acknowledgedMs } = outcome
      return { state: 'thawed', issuedMs: outcome.issuedMs, acknowledgedMs, count, early }
    }
    case 'not-frozen': return { state: 'not-frozen', issuedMs }
    case 'unknown': return { state: 'unknown', issuedMs, detail: observedText(outcome.detail) }
    default: return unreachable(outcome)
  }
}
