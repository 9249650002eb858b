/** What can be protected. */

import { Fault } from '../base/fault.ts'
import type { MachineSummary } from '../catalog/mod.ts'
import type { EngineContext } from './context.ts'
import { platformPlaces } from './find-machine.ts'

/** What one platform answered. */
export interface PlatformListing {
  /** As the configuration calls it; the type for `--on`. */
  readonly platform: string
  readonly machines: readonly MachineSummary[]
  /** Why it could not be asked. */
  readonly fault: Fault | undefined
}

/** Asks each platform; one that does not answer does not hide the others. Fault: `usage`. */
export async function listMachines(
  on: string | undefined, context: EngineContext, signal: AbortSignal,
): Promise<readonly PlatformListing[]> {
  const { clock, random, log } = context
  const listings: PlatformListing[] = []
  for (const { platformName, target } of platformPlaces(on, context)) {
    const name = platformName ?? target.type
    try {
      await using platform = await context.registry.openPlatform(
        target, { clock, random, log }, signal)
      const machines = await platform.machines(signal)
      listings.push({ platform: name, machines, fault: undefined })
    } catch (error) {
      if (signal.aborted || !(error instanceof Fault)) throw error
      listings.push({ platform: name, machines: [], fault: error })
    }
  }
  return listings
}
