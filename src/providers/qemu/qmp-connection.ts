/** The one QMP connection to a machine, made anew when it was lost or given up. */

import type { Clock } from '../../base/clock.ts'
import { QmpClient } from './qmp-client.ts'

export class QmpConnection implements AsyncDisposable {
  readonly path: string
  readonly #clock: Clock
  #client: Promise<QmpClient> | undefined

  constructor(path: string, clock: Clock) {
    this.path = path
    this.#clock = clock
  }

  /** The open connection. Faults: `platform-unreachable`, `platform-protocol`. */
  async client(signal: AbortSignal): Promise<QmpClient> {
    const before = this.#client
    const open = await before?.catch(() => undefined)
    if (open?.isOpen === true) return open
    // Two callers at once share one attempt: the socket serves one client.
    if (this.#client === before) this.#client = QmpClient.connect(this.path, this.#clock, signal)
    return (await this.#client) ?? this.client(signal)
  }

  /** Closes it, so that another client of the socket is served; the next call connects anew. */
  async release(): Promise<void> {
    const client = this.#client
    this.#client = undefined
    const open = await client?.catch(() => undefined)
    await open?.[Symbol.asyncDispose]()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release()
  }
}
