/** A prepared set as a requestor sees it that may die at each use of it, and lose its instant. */

import { Fault } from '../../../src/base/fault.ts'
import type {
  CommittedSet, PreparedSet, Provider, SetTracking,
} from '../../../src/consistency/mod.ts'
import type { BlockSource } from '../../../src/disk/mod.ts'
import type { ProviderTroubles } from './plan-of-faults.ts'
import type { SimulatedProcess } from './process.ts'
import { NEVER } from './virtual-clock.ts'

export interface ReadingParts {
  readonly requestor: SimulatedProcess
  readonly troubles: ProviderTroubles
  /** The disk as it is now, instead of the instant. */
  readonly contentOf: (diskId: string) => Uint8Array<ArrayBuffer>
  readonly onReading: () => void
}

/** `provider`, whose own steps up to the commit are the requestor's already. */
export function troubledReading(provider: Provider, parts: ReadingParts): Provider {
  return {
    name: provider.name,
    survey: (exclude, signal) => provider.survey(exclude, signal),
    prepare: async (request, signal) =>
      new TroubledSet(parts).wrap(await provider.prepare(request, signal)),
  }
}

class TroubledSet {
  readonly #parts: ReadingParts
  #reads = 0
  #isBroken = false

  constructor(parts: ReadingParts) {
    this.#parts = parts
  }

  wrap(set: PreparedSet): PreparedSet {
    const { requestor } = this.#parts
    const { tracking } = set
    const common = {
      disks: set.disks, leftOut: set.leftOut, power: set.power,
      ...(tracking === undefined ? {} : { tracking: this.#tracking(tracking) }),
      recheck: (signal: AbortSignal) => requestor.outside('recheck', () => set.recheck(signal)),
      powerNow: (signal: AbortSignal) =>
        requestor.outside('asking the power', () => set.powerNow(signal)),
      [Symbol.asyncDispose]: () => set[Symbol.asyncDispose](),
    }
    if (set.heldBy === 'requestor') {
      return { ...common, heldBy: 'requestor', freezer: set.freezer,
        commit: async (signal) => this.#committed(await set.commit(signal)) }
    }
    const { expected } = set
    return { ...common, heldBy: 'platform', expected, commitQuiesced: async (wish, signal) => {
      const committed = await set.commitQuiesced(wish, signal)
      return { ...this.#committed(committed), quiesce: committed.quiesce }
    } }
  }

  /** The model's tracking compares contents; those of a broken instant are not what is stored. */
  #tracking(tracking: SetTracking): SetTracking {
    const { requestor } = this.#parts
    return { bases: tracking.bases, sealed: () => {
      if (requestor.touch('telling the seal') && !this.#isBroken) tracking.sealed()
    } }
  }

  #committed(committed: CommittedSet): CommittedSet {
    const { requestor, onReading } = this.#parts
    return {
      method: committed.method, oneInstant: committed.oneInstant,
      open: (id, signal) => requestor.outside(`opening ${id}`, async () => {
        onReading()
        return this.#source(id, await committed.open(id, signal))
      }),
      stillIntact: (signal) => requestor.outside('asking for the instant', async () =>
        this.#isBroken ? { broken: 'its scratch space was full' } : committed.stillIntact(signal)),
    }
  }

  #source(id: string, source: BlockSource): BlockSource {
    const { requestor, troubles, contentOf } = this.#parts
    const { readTakesMs, breaksAtRead, breaksLoudly } = troubles
    return {
      ...source,
      read: (offset, length, signal) => requestor.outside(`reading ${id}`, async () => {
        await requestor.clock.sleep(readTakesMs, NEVER)
        this.#isBroken ||= this.#reads++ >= breaksAtRead
        if (!this.#isBroken) return source.read(offset, length, signal)
        if (breaksLoudly) throw new Fault('snapshot-broken', 'the scratch space was full')
        return contentOf(id).slice(offset, offset + length)
      }),
    }
  }
}
