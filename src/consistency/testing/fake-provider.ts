/** A provider of machines in memory, of both kinds: we hold, or the platform does. */

import type { Clock } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import type { BlockSource } from '../../disk/mod.ts'
import type { DiskLeftOut } from '../coverage.ts'
import type { PowerState } from '../evidence.ts'
import type {
  CommittedSet, PlatformQuiesce, PreparedSet, PrepareRequest, Provider,
  ProviderSurvey, QuiesceWish, RequestorHeldSet,
} from '../provider.ts'

export interface FakeProviderOptions {
  readonly clock: Clock
  /** The machine's disks as they are now; tests write to them at will. */
  readonly disks: ReadonlyMap<string, Uint8Array>
  readonly leftOut?: readonly DiskLeftOut[]
  readonly power?: PowerState
  readonly journal?: string[]
  readonly heldBy:
    | { readonly kind: 'requestor'; readonly freezer: RequestorHeldSet['freezer'] }
    | { readonly kind: 'platform'; readonly quiesce: PlatformQuiesce }
  /** How long the commit takes. */
  readonly commitMs?: number
  readonly commitFault?: Fault
  /** Called at the instant itself. */
  readonly onInstant?: () => void
  readonly oneInstant?: boolean
}

/** Keeps a copy of the disks at the commit. What it holds of a machine is counted in `left`. */
export class FakeProvider implements Provider {
  readonly name = 'fake'
  /** What prepares and commits have left in the machine and nothing has released yet. */
  readonly left = new Set<string>()
  /** What a killed run holds, until it is released. */
  holds: readonly string[] = []
  /** What was wished of a platform that quiesces, commit by commit. */
  readonly wishes: QuiesceWish[] = []
  /** What `recheck` will find changed. */
  changed: readonly DiskLeftOut[] = []
  /** Set by a test to lose the instant: reads fault and `stillIntact` says why. */
  lost: string | undefined
  readonly #options: FakeProviderOptions

  constructor(options: FakeProviderOptions) {
    this.#options = options
  }

  async survey(exclude: readonly string[], signal: AbortSignal): Promise<ProviderSurvey> {
    const { clock, power = 'running', heldBy } = this.#options
    await clock.sleep(0, signal)
    const found = this.#chosen(exclude)
    if (heldBy.kind === 'platform') {
      return { ...found, power, freezing: { by: 'platform', level: heldBy.quiesce.claimed } }
    }
    const { freezer } = heldBy
    if ('missing' in freezer) return { ...found, power, freezing: freezer }
    const fileSystems = await freezer.fileSystems(signal)
    return { ...found, power, freezing: {
      by: 'agent', agent: freezer.agent, fileSystems: { state: 'listed', fileSystems } } }
  }

  #chosen(exclude: readonly string[]): Pick<ProviderSurvey, 'disks' | 'leftOut'> {
    const { disks, leftOut = [] } = this.#options
    const excluded = [...disks.keys()].filter((id) => exclude.includes(id))
    if (excluded.length === disks.size) {
      throw new Fault('nothing-to-back-up', 'every disk is excluded')
    }
    return {
      disks: [...disks].filter(([id]) => !exclude.includes(id))
        .map(([id, bytes]) => ({ id, sizeBytes: bytes.length })),
      leftOut: [...leftOut, ...excluded.map((id) =>
        ({ id, reason: 'excluded', detail: 'named by the operator' }) as const)],
    }
  }

  async endLeftHolds(): Promise<void> {
    this.holds = []
  }

  async prepare(request: PrepareRequest, signal: AbortSignal): Promise<PreparedSet> {
    const { clock, power = 'running', heldBy } = this.#options
    await clock.sleep(0, signal)
    const found = this.#chosen(request.exclude)
    const captured = found.disks.map(({ id }) => id)
    this.left.add(request.pointId)
    const base = {
      ...found,
      power,
      recheck: async () => this.changed,
      powerNow: async () => power,
      [Symbol.asyncDispose]: async () => {
        this.left.delete(request.pointId)
        this.left.delete(`snapshot ${request.pointId}`)
      },
    }
    const commit = (signal: AbortSignal) => this.#commit(request.pointId, captured, signal)
    return heldBy.kind === 'requestor'
      ? { ...base, heldBy: 'requestor', freezer: heldBy.freezer, commit }
      : {
          ...base, heldBy: 'platform', expected: heldBy.quiesce.claimed,
          commitQuiesced: async (wish, signal) => {
            this.wishes.push(wish)
            return { ...await commit(signal), quiesce: heldBy.quiesce }
          },
        }
  }

  async #commit(
    pointId: string, captured: readonly string[], signal: AbortSignal): Promise<CommittedSet> {
    const { clock, disks, commitMs = 2, commitFault, journal, onInstant } = this.#options
    journal?.push('commit')
    await clock.sleep(commitMs, signal)
    if (commitFault !== undefined) throw commitFault
    onInstant?.()
    this.left.add(`snapshot ${pointId}`)
    const copies = new Map(captured.map((id) => [id, disks.get(id)?.slice() ?? new Uint8Array()]))
    return {
      method: 'fake-copy',
      oneInstant: this.#options.oneInstant ?? true,
      open: async (id) => {
        const bytes = copies.get(id)
        if (bytes === undefined) throw new Fault('not-found', `no disk ${id} in the set`)
        return memorySource(id, bytes, () => this.lost)
      },
      stillIntact: async () => this.lost === undefined
        ? { intact: true } : { broken: this.lost },
    }
  }
}

function memorySource(
  id: string, bytes: Uint8Array, lost: () => string | undefined): BlockSource {
  return {
    name: `fake disk ${id}`,
    sizeBytes: bytes.length,
    read: async (offset, length) => {
      const why = lost()
      if (why !== undefined) throw new Fault('snapshot-broken', why)
      if (offset < 0 || length < 0 || offset + length > bytes.length) {
        throw new Fault('out-of-range', `${offset}+${length} lies outside ${id}`)
      }
      return bytes.slice(offset, offset + length)
    },
    [Symbol.asyncDispose]: async () => {},
  }
}
