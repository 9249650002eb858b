/** Cleans up by hand what a killed run left in a machine. */

import { Fault } from '../base/fault.ts'
import type { EngineContext } from './context.ts'
import { findMachine, openMachine, type MachineChoice } from './find-machine.ts'

export interface Recovery {
  readonly machine: string
  /** What was found and released, one sentence each; printable. */
  readonly released: readonly string[]
}

/** Faults: `usage`, `machine-*`, `platform-*`, `thaw-failed`, `unsupported`. */
export async function recoverMachine(
  choice: MachineChoice, context: EngineContext, signal: AbortSignal): Promise<Recovery> {
  await using opened = await openMachine(findMachine(choice, context), context, signal)
  const { platform, machine } = opened
  const provider = platform.provider(machine)
  if (provider.recover === undefined) {
    throw new Fault('unsupported', `${provider.name} leaves nothing that could be cleaned up`)
  }
  return { machine, released: await provider.recover(signal) }
}
