/** The writers of VSS on the Windows that this runs on. */

import { Fault } from '../base/fault.ts'
import type { WriterList } from '../consistency/mod.ts'
import type { EngineContext } from './context.ts'

/** Holds nothing. Faults: `unsupported` anywhere but on Windows, `platform-*`, `timed-out`. */
export async function listWriters(
  context: EngineContext, signal: AbortSignal): Promise<WriterList> {
  const { clock, random, log, environment } = context
  await using platform = await context.registry.openPlatform(
    { type: 'host', options: { environment } }, { clock, random, log }, signal)
  if (platform.listWriters === undefined) {
    throw new Fault('unsupported', 'this platform has no writers that could be listed')
  }
  return await platform.listWriters(signal)
}
