/** What QEMU's run states mean for a backup (QMP Reference Manual, RunState). */

import { Fault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import type { PowerState } from '../../consistency/mod.ts'
import type { QmpClient } from './qmp-client.ts'
import { ask } from './qmp-replies.ts'

const POWER: ReadonlyMap<string, PowerState> = new Map([
  ['running', 'running'],
  ['paused', 'paused'], ['prelaunch', 'paused'], ['debug', 'paused'],
  // A guest asleep may wake at any time: the capture looks whether it did.
  ['suspended', 'paused'],
  ['shutdown', 'off'],
])

const ADVICE: ReadonlyMap<string, string> = new Map([
  ['io-error', 'A disk failed or its host ran out of space: cure that, then run cont.'],
  ['guest-panicked', 'The guest crashed: look at its console, then reset it.'],
  ['internal-error', 'QEMU met an error of its own: look at its log, then reset the machine.'],
  ['watchdog', 'The guest\'s watchdog fired: look at its console.'],
  ['preconfig', 'The machine is not set up yet: run x-exit-preconfig.'],
  ['postmigrate', 'The machine was moved: back it up where it runs now.'],
])

/** The machine's power. Faults: `machine-not-ready` in states that cannot be captured. */
export async function powerOf(client: QmpClient, signal: AbortSignal): Promise<PowerState> {
  const { status } = await ask(client, 'query-status', signal)
  const power = POWER.get(status)
  if (power !== undefined) return power
  throw new Fault('machine-not-ready',
    `the machine is in the state ${printable(status)} and cannot be captured`,
    { retry: 'later', advice: ADVICE.get(status) ?? 'Try again when the machine runs.' })
}
