/** What of ours a machine holds, asked through a monitor socket of its own. */

import { systemClock as clock } from '../../src/base/clock.ts'
import type { RunningGuest } from '../../src/demo/mod.ts'
import { QmpClient } from '../../src/providers/testing/mod.ts'

/** Nodes, exports, jobs and a server that a backup left in the guest's QEMU; `[]` if none. */
export async function leftOvers(
  guest: RunningGuest, signal: AbortSignal): Promise<readonly string[]> {
  await using qmp = await QmpClient.connect(guest.secondQmpSocket, clock, signal)
  const ask = (command: string): Promise<unknown> => qmp.execute(command, {}, signal)
  const names = (value: unknown, key: string): readonly string[] =>
    (value as readonly Record<string, unknown>[]).map((item) => String(item[key]))
  const status = await ask('query-status') as { readonly status: string }
  return [
    ...(status.status === 'running' ? [] : [`status ${status.status}`]),
    ...names(await ask('query-named-block-nodes'), 'node-name')
      .filter((name) => name.startsWith('stillpoint')).map((name) => `node ${name}`),
    ...names(await ask('query-block-exports'), 'id').map((id) => `export ${id}`),
    ...names(await ask('query-block-jobs'), 'device').map((id) => `job ${id}`),
  ]
}
