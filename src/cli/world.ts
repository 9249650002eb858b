/** What the command line touches of the outside, handed in so that tests can hand in another. */

import type { Clock } from '../base/clock.ts'
import type { RandomBytes } from '../base/random.ts'
import type { AskPassword, Registry } from '../engine/mod.ts'

/** Where text goes. Writing never fails: a reader that went away loses text, nothing else. */
export interface TextSink {
  write(text: string): void
  readonly isTerminal: boolean
}

export interface World {
  readonly stdout: TextSink
  readonly stderr: TextSink
  /** stderr itself where it is a terminal that can show a progress bar. */
  readonly barStream: NodeJS.WriteStream | undefined
  readonly environment: Readonly<Record<string, string>>
  readonly workingDir: string
  readonly hostname: string
  readonly username: string
  readonly version: string
  readonly clock: Clock
  readonly random: RandomBytes
  readonly registry: Registry
  /** Undefined where nobody sits at a terminal. */
  readonly askPassword: AskPassword | undefined
  /** Aborts at the first signal, with an `interrupted` Fault. */
  readonly signal: AbortSignal
}
