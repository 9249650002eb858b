/**
 * A process of its own that prepares and freezes a MariaDB server, and then waits to be killed.
 * Arguments: what stands for proc(5), the lock, the limits of freeze, hold and thaw in ms. Prints
 * `prepared`, `freezing`, `held`.
 */

import { systemClock } from '../../base/clock.ts'
import { mariadbWriter } from '../mariadb/writer.ts'
import { ourselves } from './mariadb-server.ts'

const [procRoot = '', lock = '', freezeMs, holdMs, thawMs] = process.argv.slice(2)
const never = new AbortController().signal
const writer = mariadbWriter({
  clock: systemClock, procRoot, user: ourselves(), lock: lock === 'read-lock' ? lock : 'automatic',
  limits: {
    connectMs: 120_000, askMs: 120_000,
    freezeMs: Number(freezeMs), holdMs: Number(holdMs), thawMs: Number(thawMs),
  },
})
const [application] = await writer.discover(never)
if (application === undefined) throw new Error('there is no server')
const prepared = await writer.prepare(application, never)
process.stdout.write('prepared\n')
const attempt = prepared.beginFreeze()
process.stdout.write('freezing\n')
await attempt.held
process.stdout.write('held\n')
process.stdin.resume() // keeps the process alive
