/**
 * A requestor's session: a snapshot set with writers, held until the backup is sealed or given up.
 *
 * The order of calls is Microsoft's ("Overview of Processing a Backup Under VSS"); what a failure
 * is worth stands in docs/vss-explained.md. One conversation is one attempt and is never used
 * again. A session that is disposed without `complete` has sent Abort, so that no writer takes the
 * backup for a good one and truncates its logs.
 */

import { throwIfAborted } from '../../../base/clock.ts'
import { Fault, isFault } from '../../../base/fault.ts'
import { printable } from '../../../base/text.ts'
import { TurnWatch } from '../../../base/turns.ts'
import {
  attempt, Steps, type MadeSet, type NoSet, type SessionPorts, type SessionRequest,
  type TranscriptEntry,
} from './attempt.ts'
import {
  askFailedComponents, failedInWords, type FailedComponents,
} from './failed-components.ts'
import { describeHresult, type Hresult } from './hresult.ts'
import {
  troubleOf, type AddedWriters, type ObservedWriter, type WriterSeen,
} from './observed-writers.ts'
import { judgeAttempt, type FailedAttempt, type Verdict } from './retry.ts'
import type {
  FailedComponent, SavedDocuments, SnapshotProperties, WriterStatus,
} from './transport.ts'

/** Redos of all kinds together, those that wait for another requestor not counted. */
const MAX_ATTEMPTS = 8
/** Writers drop logs when they hear that a full backup is complete. */
const COMPLETE_MS = 15 * 60_000
const SHORT_STEP_MS = 2 * 60_000
const ABORT_MS = 60_000

/** How it went with a writer behind BackupComplete. */
export interface CompletedWriter {
  readonly writerId: string
  readonly name: string
  /** Null for one that was not listed any more. */
  readonly seen: WriterSeen | null
  readonly isInOrder: boolean
  /** As of an ObservedWriter, behind BackupComplete. */
  readonly failedComponents?: readonly FailedComponent[] | undefined
}

export class VssSession implements AsyncDisposable {
  readonly transport: string
  readonly statusOf: SessionPorts['transport']['statusOf']
  readonly request: SessionRequest
  readonly #made: MadeSet
  readonly #ports: SessionPorts
  /** Of all attempts, the last one's included. */
  readonly #transcript: TranscriptEntry[]
  #isCompleted = false
  #isDisposed = false

  private constructor(
    made: MadeSet, request: SessionRequest, ports: SessionPorts, earlier: TranscriptEntry[]) {
    this.#made = made
    this.#ports = ports
    this.#transcript = earlier
    this.request = request
    this.transport = ports.transport.name
    this.statusOf = ports.transport.statusOf
  }

  /**
   * Makes the set, redoing it where that is worth while. Faults: those of VSS (`VssFault`) and of
   * the transport; none leaves a session open or a snapshot behind.
   */
  static async make(
    request: SessionRequest, ports: SessionPorts, signal: AbortSignal): Promise<VssSession> {
    const redone = new Map<Hresult, number>()
    const without = new Set<string>()
    const transcript: TranscriptEntry[] = []
    using turns = new TurnWatch()
    for (let attempts = 1; ;) {
      throwIfAborted(signal)
      const result = await attempt(request, without, ports, signal)
      const session = 'made' in result
        ? new VssSession(result.made, request, ports, transcript) : undefined
      const verdict = judged(result, redone, attempts)
      if (session !== undefined && verdict.next === 'keep') {
        ports.log.debug('vss.turns', { ...turns.longest })
        return session
      }
      transcript.push(...('made' in result ? result.made.transcript : result.failed.transcript))
      await session?.[Symbol.asyncDispose]()
      if ('failed' in result && verdict.next === 'give-up') throw withVeto(result.failed, without)
      switch (verdict.next) {
        case 'without': {
          attempts++
          for (const writerId of verdict.writerIds) without.add(writerId)
          ports.log.warn('vss.writer-left-out', { writers: verdict.writerIds.join(', ') })
          break
        }
        case 'again': {
          redone.set(verdict.because, (redone.get(verdict.because) ?? 0) + 1)
          ports.log.info('vss.redo', {
            because: describeHresult(verdict.because), waitMs: verdict.waitMs })
          await ports.clock.sleep(verdict.waitMs, signal)
          break
        }
        default: throw new Error('a set that is kept or given up is not redone')
      }
    }
  }

  get snapshots(): readonly SnapshotProperties[] {
    return this.#made.snapshots
  }

  get volumes(): readonly string[] {
    return this.#made.selection.volumes
  }

  get writers(): readonly ObservedWriter[] {
    return this.#made.writers
  }

  get documents(): SavedDocuments {
    return this.#made.documents
  }

  /** Every step so far, those of attempts that failed first. */
  get transcript(): readonly TranscriptEntry[] {
    return [...this.#transcript, ...this.#made.transcript]
  }

  /**
   * To be called behind the seal, once: SetBackupSucceeded of each component, BackupComplete, and
   * what the writers say then. Only now may they truncate logs. Faults: `VssFault`, `timed-out`;
   * then Abort is what disposing sends.
   */
  async complete(signal: AbortSignal): Promise<readonly CompletedWriter[]> {
    const { backup, selection, writers, transcript } = this.#made
    const steps = new Steps(this.#ports.clock, transcript, signal)
    for (const { added } of selection.writers) {
      for (const component of added) {
        await steps.take('SetBackupSucceeded', SHORT_STEP_MS, (limit) =>
          backup.setBackupSucceeded(component, true, limit))
      }
    }
    await steps.take('BackupComplete', COMPLETE_MS, (limit) => backup.backupComplete(limit))
    this.#isCompleted = true
    const statuses = await steps.take('GatherWriterStatus', SHORT_STEP_MS, (limit) =>
      backup.gatherWriterStatus(limit))
    const told = writers.filter(({ added }) => added.length > 0)
    const failed = await askFailedComponents(backup, troubleOf(
      statuses, idsOf(told), 'completed'), steps, this.#ports.log)
    return told.map((writer) => completed(writer, statuses, failed))
  }

  /** Whether every snapshot is still there: Windows drops them when their storage is full. */
  async stillThere(
    signal: AbortSignal): Promise<{ readonly intact: true } | { readonly broken: string }> {
    const { backup, transcript } = this.#made
    const steps = new Steps(this.#ports.clock, transcript, signal)
    try {
      for (const { snapshotId } of this.#made.snapshots) {
        await steps.take('GetSnapshotProperties', SHORT_STEP_MS, (limit) =>
          backup.snapshotProperties(snapshotId, limit))
      }
      return { intact: true }
    } catch (error) {
      throwIfAborted(signal)
      if (!isFault(error)) throw error
      return { broken: `a shadow copy is gone: ${printable(error.message, 300)}` }
    }
  }

  /** Abort unless it was completed, then Release; reports instead of throwing. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isDisposed) return
    this.#isDisposed = true
    const { backup, transcript } = this.#made
    try {
      if (!this.#isCompleted) {
        await new Steps(this.#ports.clock, transcript, undefined)
          .take('AbortBackup', ABORT_MS, (limit) => backup.abortBackup(limit))
      }
    } catch (error) {
      this.#ports.log.warn('vss.abort-failed', {
        reason: printable(error instanceof Error ? error.message : String(error)) })
    }
    await backup[Symbol.asyncDispose]()
  }
}

function judged(
  result: { readonly made: MadeSet } | { readonly failed: NoSet },
  redone: ReadonlyMap<Hresult, number>, attempts: number,
): Verdict {
  const failed: FailedAttempt = 'failed' in result
    ? { isMade: false, ...result.failed }
    : { isMade: true, step: null, writers: troubleBehind(result.made) }
  const verdict = judgeAttempt(failed, redone)
  const count = attempts + [...redone.values()].reduce((sum, times) => sum + times, 0)
  const isEnough = attempts >= MAX_ATTEMPTS || count >= MAX_ATTEMPTS + MAX_WAITS
  if (!isEnough) return verdict
  return { next: 'made' in result ? 'keep' : 'give-up' }
}

/** As often as another requestor may be waited for. */
const MAX_WAITS = 121

function troubleBehind({ writers }: MadeSet): FailedAttempt['writers'] {
  const withComponents = writers.filter(({ added }) => added.length > 0)
  const statuses = withComponents.flatMap(({ writerId, instanceId, name, afterSnapshot }) =>
    afterSnapshot === null ? [] : [{ writerId, instanceId, name, ...afterSnapshot }])
  return troubleOf(statuses, idsOf(withComponents), 'snapshot')
}

function idsOf(writers: readonly ObservedWriter[]): AddedWriters {
  return new Map(writers.map(({ instanceId, writerId }) => [instanceId, writerId]))
}

function completed(
  { writerId, instanceId, name }: ObservedWriter, statuses: readonly WriterStatus[],
  failed: FailedComponents,
): CompletedWriter {
  const status = statuses.find((it) => it.instanceId === instanceId)
  const trouble = troubleOf(statuses, new Map([[instanceId, writerId]]), 'completed')
  return {
    writerId, name: printable(name, 200), isInOrder: trouble.length === 0,
    seen: status === undefined ? null : { state: status.state, failure: status.failure },
    failedComponents: failed.get(instanceId),
  }
}

/** The fault of the last attempt, with the writers that were left out before it. */
function withVeto({ fault, writers }: NoSet, without: ReadonlySet<string>): Fault {
  if (writers.length === 0 && without.size === 0) return fault
  const who = [...without, ...writers.map(({ writerId, failure, failedComponents }) =>
    `${writerId} with ${describeHresult(failure)}${failedInWords(failedComponents)}`)]
  return new Fault(fault.code, `no shadow copy could be made; writers that failed: ${
    who.join(', ')}`, {
    cause: fault, retry: fault.retry,
    advice: fault.advice ?? 'See the Application log of this host for these writers.' })
}
