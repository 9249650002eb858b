/** The store as one requestor sees it: slow, and with the troubles of its run. */

import { Fault } from '../../../src/base/fault.ts'
import type { Storage } from '../../../src/storage/mod.ts'
import type { Dice } from './dice.ts'
import type { SimulatedProcess } from './process.ts'
import { NEVER } from './virtual-clock.ts'

export interface StoreTroubles {
  /** Of each operation: without effect. */
  readonly errorChance: number
  /** Of each put: it takes effect, and fails all the same. */
  readonly unknownChance: number
  /** From this operation on nothing is reached. */
  readonly lostAfter: number
  /** From this operation on nothing more can be stored. */
  readonly fullAfter: number
  /** This operation takes a minute. */
  readonly hangsAt: number
}

export const NO_STORE_TROUBLE: StoreTroubles = {
  errorChance: 0, unknownChance: 0, lostAfter: Infinity, fullAfter: Infinity, hangsAt: Infinity,
}

/** Before `begin` it is the bare store: opening the repository takes real time. */
export class StoreView implements Storage {
  readonly location = 'the model store'
  readonly #inner: Storage
  readonly #troubles: StoreTroubles
  readonly #dice: Dice
  #process: SimulatedProcess | undefined
  #count = 0

  constructor(inner: Storage, troubles: StoreTroubles, dice: Dice) {
    this.#inner = inner
    this.#troubles = troubles
    this.#dice = dice
  }

  begin(process: SimulatedProcess): void {
    this.#process = process
  }

  create(signal: AbortSignal): Promise<void> {
    return this.#inner.create(signal)
  }

  put(...[file, parts, signal]: Parameters<Storage['put']>): Promise<void> {
    return this.#around('put', file.kind, async () => {
      await this.#inner.put(file, parts, signal)
      if (this.#process !== undefined && this.#dice.chance(this.#troubles.unknownChance)) {
        throw failed(`put ${file.kind}: no answer`)
      }
    })
  }

  get(...[file, options, signal]: Parameters<Storage['get']>): ReturnType<Storage['get']> {
    return this.#around('get', file.kind, () => this.#inner.get(file, options, signal))
  }

  async *list(...[kind, signal]: Parameters<Storage['list']>): ReturnType<Storage['list']> {
    yield* await this.#around('list', kind, () => Array.fromAsync(this.#inner.list(kind, signal)))
  }

  remove(...[file, signal]: Parameters<Storage['remove']>): Promise<void> {
    return this.#around('remove', file.kind, () => this.#inner.remove(file, signal))
  }

  async #around<T>(operation: string, kind: string, run: () => Promise<T>): Promise<T> {
    const process = this.#process
    if (process === undefined) return run()
    const n = this.#count++
    const { errorChance, lostAfter, fullAfter, hangsAt } = this.#troubles
    const fails = this.#dice.chance(errorChance)
    return process.outside(`${operation} ${kind}`, async () => {
      await process.clock.sleep(n === hangsAt ? 60_000 : this.#dice.between(1, 8), NEVER)
      if (n >= lostAfter || fails) throw failed(`${operation} ${kind}`)
      if (n >= fullAfter && operation === 'put') {
        throw new Fault('no-space', 'the store is full, on purpose')
      }
      return run()
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

function failed(what: string): Fault {
  return new Fault('storage-failed', `${what} failed on purpose`, { retry: 'later' })
}
