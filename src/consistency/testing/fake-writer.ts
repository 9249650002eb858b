/** An application in memory that can hold still. */

import type { Clock } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import type {
  DiscoveredApplication, PreparedWriter, Writer, WriterAttempt, WriterLimits, WriterStatement,
  WriterThawOutcome,
} from '../writer.ts'

export interface FakeWriterOptions {
  readonly clock: Clock
  readonly application?: Partial<DiscoveredApplication>
  readonly contract?: PreparedWriter['contract']
  readonly limits?: WriterLimits
  readonly journal?: string[]
  readonly failsToFreeze?: boolean
  readonly neverAnswersThaw?: boolean
  readonly delayMs?: number
}

export class FakeWriter implements Writer {
  readonly name: string
  /** What the application really is. */
  isFrozen = false
  /** How its backup ended, as it was told. */
  told: 'nothing' | 'complete' | 'abort' = 'nothing'
  readonly #options: FakeWriterOptions
  readonly #application: DiscoveredApplication

  constructor(name: string, options: FakeWriterOptions) {
    this.name = name
    this.#options = options
    this.#application = {
      name, kind: 'protected', recovery: 'self',
      data: { state: 'located', places: [
        { path: `/srv/${name}`, mountpoint: '/srv', type: 'btrfs' }] },
      ...options.application,
    }
  }

  async discover(signal: AbortSignal): Promise<readonly DiscoveredApplication[]> {
    await this.#options.clock.sleep(0, signal)
    return [this.#application]
  }

  async prepare(
    application: DiscoveredApplication, signal: AbortSignal): Promise<PreparedWriter> {
    await this.#options.clock.sleep(0, signal)
    return this.prepared(application)
  }

  /** As `prepare`, at once. */
  prepared(application: DiscoveredApplication = this.#application): PreparedWriter {
    const tell = (how: 'complete' | 'abort'): void => {
      this.#options.journal?.push(`${how} ${this.name}`)
      this.told = how
    }
    return {
      application,
      contract: this.#options.contract ?? { kind: 'held' },
      limits: this.#options.limits ?? { freezeMs: 1000, holdMs: 10_000, thawMs: 1000 },
      beginFreeze: () => this.#begin(),
      complete: async () => {
        tell('complete')
        return { statement: 'complete' }
      },
      abort: async () => tell('abort'),
      [Symbol.asyncDispose]: async () => {
        if (this.told === 'nothing') tell('abort')
      },
    }
  }

  #begin(): WriterAttempt {
    let outcome: Promise<WriterThawOutcome> | undefined
    const held = this.#freeze()
    held.catch(() => {})
    return { held, thaw: () => outcome ??= this.#thaw(held) }
  }

  async #freeze(): Promise<WriterStatement & { readonly positions: {
    readonly beforeCheckpoint: string; readonly atFreeze: string } }> {
    this.#options.journal?.push(`freeze ${this.name}`)
    await this.#options.clock.sleep(this.#options.delayMs ?? 1, never)
    this.isFrozen = true // also where it fails: it may have taken its lock
    if (this.#options.failsToFreeze === true) {
      throw new Fault('writer-failed', `${this.name} refused to hold still`)
    }
    return { statement: 'locked', positions: { beforeCheckpoint: '0/10', atFreeze: '0/20' } }
  }

  async #thaw(held: Promise<unknown>): Promise<WriterThawOutcome> {
    this.#options.journal?.push(`thaw ${this.name}`)
    await held.catch(() => {})
    await this.#options.clock.sleep(this.#options.delayMs ?? 1, never)
    const heldThroughout = this.isFrozen
    this.isFrozen = false
    if (this.#options.neverAnswersThaw === true) await new Promise(() => {})
    return { state: 'thawed', heldThroughout, statement: 'unlocked' }
  }
}

const never = new AbortController().signal
