/**
 * Makes one instant of many disks.
 *
 * Both methods put a copy-before-write filter between each device and its node: before the guest
 * overwrites something, QEMU copies the old content to a scratch overlay. Neither ever uses
 * blockdev-backup without `on-cbw-error`: a full scratch file would stop the machine (measured;
 * docs/decisions/0001-qemu-snapshot.md).
 */

import { Fault, isFault } from '../../base/fault.ts'
import type { PowerState } from '../../consistency/mod.ts'
import type { TransactionAction } from './bitmaps.ts'
import type { QemuDisk } from './disks.ts'
import type { RunNames } from '../machine/run-names.ts'
import type { QmpClient, QmpCommand, QmpOutcome } from './qmp-client.ts'
import { ask, hasArgument, replies } from './qmp-replies.ts'

/** Seconds a copy may take before the instant is given up rather than the guest held up. */
const CBW_TIMEOUT_S = 5

export interface Captured {
  readonly method: 'qmp-transaction' | 'stop-window'
  /** How long the machine stood still, by QEMU's own time; 0 where it did not. */
  readonly stoppedMs: number
}

export interface CaptureMethod {
  readonly name: Captured['method']
  /** Adds what can be added before the instant. Faults: `platform-refused`, `machine-lost`. */
  prepare(disks: readonly QemuDisk[], signal: AbortSignal): Promise<void>
  /**
   * Makes the instant; `tracking` is carried out at it. Faults: `snapshot-failed`,
   * `machine-lost`, `guardian-failed`.
   */
  commit(
    disks: readonly QemuDisk[], power: PowerState, tracking: readonly TransactionAction[],
    signal: AbortSignal): Promise<Captured>
}

/** Tells the guardian around the time in which the machine is stopped. */
export interface StopWatch {
  stopping(): Promise<void>
  resumed(): Promise<void>
}

/** The best method that this QEMU has. Faults: `unsupported`, `platform-*`. */
export async function chooseMethod(
  client: QmpClient, names: RunNames, watch: StopWatch, signal: AbortSignal,
): Promise<CaptureMethod> {
  if (await hasArgument(client, 'blockdev-backup', 'on-cbw-error', signal)) {
    return new Transaction(client, names)
  }
  return new StopWindow(client, names, watch)
}

/** All disks in one QMP transaction: QEMU holds their requests for its length, some ms. */
class Transaction implements CaptureMethod {
  readonly name = 'qmp-transaction'
  readonly #client: QmpClient
  readonly #names: RunNames

  constructor(client: QmpClient, names: RunNames) {
    this.#client = client
    this.#names = names
  }

  prepare(): Promise<void> {
    return Promise.resolve()
  }

  async commit(
    disks: readonly QemuDisk[], _power: PowerState, tracking: readonly TransactionAction[],
    signal: AbortSignal,
  ): Promise<Captured> {
    const names = this.#names
    const backups = disks.map((disk, index) => ({
      type: 'blockdev-backup',
      data: {
        'job-id': names.job(index), device: disk.node, target: names.target(index), sync: 'none',
        'filter-node-name': names.filter(index), 'on-cbw-error': 'break-snapshot',
      },
    }))
    try {
      await this.#client.execute(
        'transaction', { actions: [...tracking, ...backups] }, signal)
    } catch (cause) {
      throw failed('QEMU did not begin the capture of all disks', cause)
    }
    return { method: this.name, stoppedMs: 0 }
  }
}

/** Filters are added before; between `stop` and `cont` the devices are switched to them. */
class StopWindow implements CaptureMethod {
  readonly name = 'stop-window'
  readonly #client: QmpClient
  readonly #names: RunNames
  readonly #watch: StopWatch

  constructor(client: QmpClient, names: RunNames, watch: StopWatch) {
    this.#client = client
    this.#names = names
    this.#watch = watch
  }

  async prepare(disks: readonly QemuDisk[], signal: AbortSignal): Promise<void> {
    for (const [index, disk] of disks.entries()) {
      await this.#client.execute('blockdev-add', {
        driver: 'copy-before-write',
        'node-name': this.#names.filter(index),
        file: disk.node,
        target: this.#names.target(index),
        'on-cbw-error': 'break-snapshot',
        'cbw-timeout': CBW_TIMEOUT_S,
      }, signal)
    }
  }

  async commit(
    disks: readonly QemuDisk[], power: PowerState, tracking: readonly TransactionAction[],
    signal: AbortSignal,
  ): Promise<Captured> {
    const switches = [
      ...disks.map((disk, index) => ({
        execute: 'qom-set',
        arguments: { path: disk.path, property: 'drive', value: this.#names.filter(index) },
      })),
      ...(tracking.length === 0
        ? [] : [{ execute: 'transaction', arguments: { actions: tracking } }]),
    ]
    if (power === 'running') {
      const [{ running }] = await Promise.all(
        [ask(this.#client, 'query-status', signal), this.#watch.stopping()])
      if (running) {
        return { method: this.name, stoppedMs: await this.#switchStopped(switches, signal) }
      }
      void this.#watch.resumed() // an operator paused it since: a `cont` would undo that
    }
    await this.#switchAtRest(switches, signal)
    return { method: this.name, stoppedMs: 0 }
  }

  /**
   * The machine stands still by itself, and it must not be resumed by us. That it stood still all
   * the while is what the two states and the absence of events between them show.
   */
  async #switchAtRest(switches: readonly QmpCommand[], signal: AbortSignal): Promise<void> {
    const moved: string[] = []
    using _listening = this.#client.onEvent(({ event }) => {
      if (['RESUME', 'WAKEUP', 'RESET'].includes(event)) moved.push(event)
    })
    const status = { execute: 'query-status' }
    const outcomes = await this.#client.pipeline([status, ...switches, status], signal)
    rejectFaults(outcomes)
    const [before, after] = [outcomes[0], outcomes.at(-1)].map(statusOf)
    if (before !== after || after === 'running' || moved.length > 0) {
      throw new Fault('snapshot-failed', 'the machine began to run while it was captured',
        { retry: 'now', advice: 'Run the backup again.' })
    }
  }

  /**
   * All in one write, so that nothing but QEMU's own work lies between `stop` and `cont`, and a
   * requestor that ends right after it leaves the `cont` behind in QEMU's queue.
   */
  async #switchStopped(switches: readonly QmpCommand[], signal: AbortSignal): Promise<number> {
    const times: { stop?: number; resume?: number } = {}
    using _listening = this.#client.onEvent(({ event, atUs }) => {
      if (event === 'STOP') times.stop ??= atUs
      if (event === 'RESUME') times.resume ??= atUs
    })
    const status = { execute: 'query-status' }
    const outcomes = await this.#client.pipeline(
      [{ execute: 'stop' }, status, ...switches, { execute: 'cont' }, status], signal)
    if (statusOf(outcomes.at(-1)) !== 'running') await this.#resume()
    void this.#watch.resumed()
    rejectFaults(outcomes)
    if (statusOf(outcomes[1]) !== 'paused') {
      throw new Fault('snapshot-failed', 'the machine did not stand still while it was captured')
    }
    return ((times.resume ?? 0) - (times.stop ?? 0)) / 1000
  }

  /** The machine does not run although it was told to: nothing else matters now. */
  async #resume(): Promise<void> {
    const never = new AbortController().signal
    const { status } = await ask(this.#client, 'query-status', never)
    if (status === 'paused') await this.#client.execute('cont', {}, never)
  }
}

function statusOf(outcome: QmpOutcome | undefined): string {
  if (outcome === undefined || 'fault' in outcome) return ''
  const parsed = replies['query-status'].safeParse(outcome.value)
  return parsed.success ? parsed.data.status : ''
}

function rejectFaults(outcomes: readonly QmpOutcome[]): void {
  for (const outcome of outcomes) {
    if ('fault' in outcome) throw failed('QEMU did not switch all disks', outcome.fault)
  }
}

function failed(what: string, cause: unknown): Error {
  if (isFault(cause, 'machine-lost', 'interrupted')) return cause
  return new Fault('snapshot-failed', what, { cause, retry: 'later' })
}
