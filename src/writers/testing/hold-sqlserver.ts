/**
 * A process of its own that prepares and freezes the stub of SQL Server, and then waits to be
 * killed. Arguments: what stands for proc(5), the limits of freeze, hold and thaw in ms. Prints
 * `freezing`, `held`.
 */

import { systemClock } from '../../base/clock.ts'
import { systemRandom } from '../../base/random.ts'
import { Secret } from '../../base/secret.ts'
import { sqlServerWriter } from '../sqlserver/writer.ts'
import { STUB_LOGIN } from './stub-sql-server.ts'

const [procRoot = '', freezeMs, holdMs, thawMs] = process.argv.slice(2)
const never = new AbortController().signal
const { user, password } = STUB_LOGIN
const writer = sqlServerWriter({
  clock: systemClock, random: systemRandom, procRoot,
  login: { user, password: new Secret(password) },
  limits: {
    connectMs: 120_000, askMs: 120_000,
    freezeMs: Number(freezeMs), holdMs: Number(holdMs), thawMs: Number(thawMs),
  },
})
const [application] = await writer.discover(never)
if (application === undefined) throw new Error('there is no server')
const prepared = await writer.prepare(application, never)
const attempt = prepared.beginFreeze()
process.stdout.write('freezing\n')
await attempt.held
process.stdout.write('held\n')
process.stdin.resume() // keeps the process alive
