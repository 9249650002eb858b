/**
 * The application host SPI: finds the applications of one machine and prepares them to be held,
 * through whatever leads into it. In the machine itself it is a set of writers; for the requestor
 * it is an agent behind a channel.
 */

import type { FreezeHooks } from './freeze-hooks.ts'
import type { DiscoveredApplication, PreparedWriter } from './writer.ts'

export interface ApplicationHost extends AsyncDisposable {
  /** What answers, verbatim: name, version, by which channel. Foreign text. */
  readonly agent: string
  /**
   * There if the freeze of the file systems holds the applications: then what `prepare` returns is
   * never frozen by us.
   */
  readonly hooks?: FreezeHooks
  /**
   * Every application found, protected and incidental, names unique. Changes nothing. Faults:
   * `writer-failed`, `agent-*`, `timed-out` if it cannot be told: unknown, not absent.
   */
  discover(signal: AbortSignal): Promise<readonly DiscoveredApplication[]>
  /** As `Writer.prepare`, by the writer whose application it is; undefined if none can hold it. */
  prepare(
    application: DiscoveredApplication, signal: AbortSignal): Promise<PreparedWriter | undefined>
}

/** Why no application can be asked: shown to the operator. */
export interface ApplicationHostMissing {
  readonly missing: string
}
