/**
 * A whole run of the QEMU provider that a test kills somewhere: prepares, freezes, captures,
 * thaws, opens a disk, reads on and on.
 *
 * Argument: `{options, limits, waitAt?}` as JSON: the QemuOptions, the FreezeLimits, and a step at
 * which to stay. Prints each step before it is taken: `prepare`, `freeze`, `held`, `captured`,
 * `thawed`, `reading`.
 */

import { systemClock } from '../../base/clock.ts'
import { silentLog } from '../../base/log.ts'
import { systemRandom, uuid } from '../../base/random.ts'
import type { FreezeLimits } from '../../consistency/mod.ts'
import { openQemuPlatform } from '../qemu/platform.ts'
import type { QemuOptions } from '../qemu/options.ts'

interface Orders {
  readonly options: QemuOptions
  readonly limits: FreezeLimits
  readonly waitAt?: string
}

const orders = JSON.parse(process.argv[2] ?? '') as Orders
const signal = new AbortController().signal
const step = async (name: string): Promise<void> => {
  process.stdout.write(`${name}\n`)
  if (orders.waitAt === name) await systemClock.sleep(3_600_000, signal)
}

const context = { clock: systemClock, random: systemRandom, log: silentLog }
const platform = await openQemuPlatform(orders.options, context, signal)
const [machine] = await platform.machines(signal)
await step('prepare')
const set = await platform.provider(machine?.name ?? '')
  .prepare({ pointId: uuid(systemRandom), exclude: [] }, signal)
if (set.heldBy !== 'requestor' || 'missing' in set.freezer) throw new Error('no freezer')
const attempt = set.freezer.beginFreeze(orders.limits)
await step('freeze')
await attempt.held
await step('held')
const committed = await set.commit(signal)
await step('captured')
await attempt.thaw()
await step('thawed')
const source = await committed.open(set.disks[0]?.id ?? '', signal)
await step('reading')
for (let offset = 0; ; offset = (offset + 65536) % source.sizeBytes) {
  await source.read(offset, 65536, signal)
}
