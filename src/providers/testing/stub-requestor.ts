/**
 * A requestor that a test kills: starts a guard, freezes, says how far it is, and stays.
 *
 * Argument: `{sockets, recordFile, limits, group?, stop?}` as JSON. Prints `guardian PID`,
 * `freezing`, `held COUNT`, `stopped`.
 */

import { writeFileSync } from 'node:fs'
import { systemClock } from '../../base/clock.ts'
import type { FreezeLimits } from '../../consistency/mod.ts'
import { GuardedFreezer } from '../guardian/freezer.ts'
import { Guard } from '../guardian/guard.ts'
import type { HoldSockets } from '../guardian/record.ts'
import { QmpClient } from '../qemu/qmp-client.ts'

interface Orders {
  readonly sockets: HoldSockets
  readonly recordFile: string
  readonly limits: FreezeLimits
  /** The `cgroup.procs` of a control group to be in, guardian and all. */
  readonly group?: string
  /** Stop the machine once the freeze is held. */
  readonly stop?: boolean
}

const orders = JSON.parse(process.argv[2] ?? '') as Orders
const say = (line: string): void => { process.stdout.write(`${line}\n`) }
const { sockets, recordFile, limits } = orders
if (orders.group !== undefined) writeFileSync(orders.group, String(process.pid))
const signal = new AbortController().signal
const guard = new Guard({ sockets, recordFile, nodePrefix: '', clock: systemClock, settings: {} })
say(`guardian ${guard.pid}`)
await guard.open(5_000)
const qmp = sockets.qmp === undefined
  ? undefined : await QmpClient.connect(sockets.qmp, systemClock, signal)
const freezer = new GuardedFreezer(
  { guard, clock: systemClock, agent: 'qemu-ga 0', diskIdsOf: () => [] })
const attempt = freezer.beginFreeze(limits)
say('freezing')
const { count } = await attempt.held
say(`held ${count}`)
if (orders.stop === true && qmp !== undefined) {
  await guard.stopping()
  await qmp.execute('stop', {}, signal)
  say('stopped')
}
setInterval(() => {}, 1_000)
