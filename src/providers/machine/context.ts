/** What every provider is given. */

import type { Clock } from '../../base/clock.ts'
import type { Log } from '../../base/log.ts'
import type { RandomBytes } from '../../base/random.ts'

export interface ProviderContext {
  readonly clock: Clock
  readonly random: RandomBytes
  readonly log: Log
}
