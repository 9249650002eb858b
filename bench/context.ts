/** What repositories of the benchmarks are made and opened with. */

import { systemClock } from '../src/base/clock.ts'
import { silentLog } from '../src/base/log.ts'
import { systemRandom } from '../src/base/random.ts'
import { Secret } from '../src/base/secret.ts'

export const CONTEXT = {
  password: new Secret('bench'), hostname: 'bench', username: 'bench', clock: systemClock,
  random: systemRandom, log: silentLog,
}
