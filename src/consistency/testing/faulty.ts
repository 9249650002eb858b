/** Wrappers that make the SPIs fail, dawdle and answer late, by seed. */

import type { Clock } from '../../base/clock.ts'
import { Fault, type FaultCode } from '../../base/fault.ts'
import { seededRandom } from '../../base/random.ts'
import type { FileSystemFreezer } from '../freezer.ts'
import type {
  CommittedSet, PreparedSet, Provider, RequestorHeldSet,
} from '../provider.ts'
import type { PreparedWriter } from '../writer.ts'

export interface MischiefOptions {
  readonly seed: number
  readonly clock: Clock
  /** The chance of a fault, and of a delay, at each step; 0 to 1. */
  readonly faultRate: number
  readonly delayRate: number
  readonly maxDelayMs: number
}

/** Draws what goes wrong; the same seed draws the same. */
export class Mischief {
  readonly #options: MischiefOptions
  readonly #random: ReturnType<typeof seededRandom>

  constructor(options: MischiefOptions) {
    this.#options = options
    this.#random = seededRandom(options.seed)
  }

  /** A number from 0 up to, not including, 1. */
  draw(): number {
    return (this.#random(1)[0] ?? 0) / 256
  }

  /** Perhaps waits; then perhaps throws a fault of `code`. */
  async strike(step: string, code: FaultCode, signal: AbortSignal): Promise<void> {
    const { clock, delayRate, faultRate, maxDelayMs } = this.#options
    if (this.draw() < delayRate) await clock.sleep(this.draw() * maxDelayMs, signal)
    if (this.draw() < faultRate) throw new Fault(code, `mischief at ${step}`)
  }
}

export function faultyProvider(provider: Provider, mischief: Mischief): Provider {
  return {
    name: provider.name,
    survey: async (exclude, signal) => {
      await mischief.strike('survey', 'platform-refused', signal)
      return provider.survey(exclude, signal)
    },
    prepare: async (request, signal) => {
      await mischief.strike('prepare', 'platform-refused', signal)
      return faultySet(await provider.prepare(request, signal), mischief)
    },
  }
}

/** Struck before and after each commit: a late fault leaves a snapshot to be released. */
export function faultySet(set: PreparedSet, mischief: Mischief): PreparedSet {
  const around = async <Set extends CommittedSet>(
    commit: (signal: AbortSignal) => Promise<Set>, signal: AbortSignal): Promise<Set> => {
    await mischief.strike('commit', 'snapshot-failed', signal)
    const committed = await commit(signal)
    await mischief.strike('the answer of commit', 'snapshot-failed', signal)
    return committed
  }
  const common = {
    disks: set.disks,
    leftOut: set.leftOut,
    power: set.power,
    ...(set.tracking === undefined ? {} : { tracking: set.tracking }),
    powerNow: (signal: AbortSignal) => set.powerNow(signal),
    recheck: async (signal: AbortSignal) => {
      await mischief.strike('recheck', 'machine-lost', signal)
      return set.recheck(signal)
    },
    [Symbol.asyncDispose]: () => set[Symbol.asyncDispose](),
  }
  if (set.heldBy === 'platform') {
    return {
      ...common, heldBy: 'platform', expected: set.expected,
      commitQuiesced: (wish, signal) =>
        around((signal) => set.commitQuiesced(wish, signal), signal),
    }
  }
  return {
    ...common, heldBy: 'requestor',
    freezer: faultyFreezer(set.freezer, mischief),
    commit: (signal) => around((signal) => set.commit(signal), signal),
  }
}

export function faultyFreezer(
  freezer: RequestorHeldSet['freezer'], mischief: Mischief): RequestorHeldSet['freezer'] {
  return 'missing' in freezer ? freezer : faultyAgent(freezer, mischief)
}

function faultyAgent(freezer: FileSystemFreezer, mischief: Mischief): FileSystemFreezer {
  return {
    agent: freezer.agent,
    fileSystems: async (signal) => {
      await mischief.strike('the list of file systems', 'agent-unreachable', signal)
      return freezer.fileSystems(signal)
    },
    beginFreeze: (limits) => {
      const attempt = freezer.beginFreeze(limits)
      // The freeze takes effect although its answer is late or lost.
      const held = answered(attempt.held, mischief, 'freeze', 'timed-out')
      const thaw = async (): ReturnType<typeof attempt.thaw> => {
        const outcome = await attempt.thaw()
        try {
          await mischief.strike('thaw', 'timed-out', never)
          return outcome
        } catch {
          return { state: 'unknown', detail: 'mischief at thaw' }
        }
      }
      let outcome: ReturnType<typeof thaw> | undefined
      return { held, thaw: () => outcome ??= thaw() }
    },
  }
}

export function faultyWriter(writer: PreparedWriter, mischief: Mischief): PreparedWriter {
  return {
    application: writer.application,
    contract: writer.contract,
    limits: writer.limits,
    complete: (signal) => writer.complete(signal),
    abort: (signal) => writer.abort(signal),
    beginFreeze: () => {
      const attempt = writer.beginFreeze()
      const name = writer.application.name
      const held = answered(attempt.held, mischief, `freeze of ${name}`, 'writer-timeout')
      return { held, thaw: () => attempt.thaw() }
    },
    [Symbol.asyncDispose]: () => writer[Symbol.asyncDispose](),
  }
}

/** `promise`, its answer perhaps late or lost. */
async function answer<T>(
  promise: Promise<T>, mischief: Mischief, step: string, code: FaultCode): Promise<T> {
  const value = await promise
  await mischief.strike(step, code, never)
  return value
}

function answered<T>(
  promise: Promise<T>, mischief: Mischief, step: string, code: FaultCode): Promise<T> {
  const result = answer(promise, mischief, step, code)
  result.catch(() => {})
  return result
}

const never = new AbortController().signal
