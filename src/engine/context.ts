/** What every use case is given: the world it may touch. */

import type { Clock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import type { RandomBytes } from '../base/random.ts'
import type { Secret } from '../base/secret.ts'
import type { Config } from './config.ts'
import type { Registry } from './registry.ts'

export interface EngineContext {
  readonly clock: Clock
  readonly random: RandomBytes
  readonly log: Log
  readonly registry: Registry
  readonly config: Config
  /** The environment the program was started with: read by entry points, handed down here. */
  readonly environment: Readonly<Record<string, string>>
  readonly workingDir: string
  /** Written into locks and keys, so that people can tell whose they are. */
  readonly hostname: string
  readonly username: string
  /** Stillpoint's own version. */
  readonly version: string
  /** Asks the operator for a password; undefined where nobody sits at a terminal. */
  readonly askPassword: AskPassword | undefined
}

/** Shows `question`, reads a line without echo. Fault: `interrupted`. */
export type AskPassword = (question: string, signal: AbortSignal) => Promise<Secret>

/** What the command line says of the repository; each undefined where it says nothing. */
export interface RepositoryOptions {
  readonly repo: string | undefined
  readonly passwordFile: string | undefined
  readonly passwordCommand: string | undefined
}
