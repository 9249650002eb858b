/** The QEMU platform: one machine behind one QMP socket. */

import type { Platform } from '../../catalog/mod.ts'
import { Fault } from '../../base/fault.ts'
import type { ProviderContext, QemuOptions } from './options.ts'

/**
 * Connects to the machine's QMP socket and learns its name. Dispose it when done; while it is open
 * nobody else is served on that socket. Faults: `platform-unreachable`, `platform-protocol`.
 */
export async function openQemuPlatform(
  options: QemuOptions, context: ProviderContext, signal: AbortSignal): Promise<Platform> {
  await context.clock.sleep(0, signal)
  throw new Fault('unsupported', `QEMU at ${options.qmp}: not built yet`)
}
