/** One run of one command: what it was told, where it writes, what it may touch. */

import { programPlaces, thisSystem } from '../base/program-places.ts'
import { loadConfig, type EngineContext, type RepositoryOptions } from '../engine/mod.ts'
import type { Output } from './output.ts'
import type { World } from './world.ts'

/** The options that every command has. */
export interface GlobalOptions {
  readonly repo?: string
  readonly passwordFile?: string
  readonly passwordCommand?: string
  readonly config?: string
  readonly json?: true
  readonly quiet?: true
  readonly verbose?: true
  readonly color: boolean
}

export interface Session {
  readonly output: Output
  readonly world: World
  readonly repository: RepositoryOptions
  readonly signal: AbortSignal
  /** Reads the configuration. Faults: `config-invalid`, `not-found`, `io-error`. */
  readonly openContext: () => Promise<EngineContext>
}

/** 0, or 3 where it is done but weaker or less than required. */
export type ExitCode = 0 | 3

/** Runs `action` in a session and keeps its exit code; faults pass through. */
export type Run = (action: (session: Session) => Promise<ExitCode>) => Promise<void>

export function createSession(options: GlobalOptions, output: Output, world: World): Session {
  const { environment, workingDir, hostname, username, version, clock, random } = world
  return {
    output,
    world,
    signal: world.signal,
    repository: {
      repo: options.repo,
      passwordFile: options.passwordFile,
      passwordCommand: options.passwordCommand,
    },
    openContext: async () => ({
      clock, random, environment, workingDir, hostname, username, version,
      log: output.log,
      registry: world.registry,
      askPassword: world.askPassword,
      config: await loadConfig({
        named: options.config, fromEnvironment: environment['STILLPOINT_CONFIG'], workingDir,
        system: programPlaces(thisSystem(environment)).config,
      }),
    }),
  }
}
