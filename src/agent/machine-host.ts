/** Every writer that the agent has, as one host. */

import type { Clock } from '../base/clock.ts'
import type { ApplicationHost } from '../consistency/mod.ts'
import {
  mariadbWriter, postgresWriter, redisWriter, sqliteWriter, writerSet,
} from '../writers/mod.ts'

export function machineHost(agent: string, clock: Clock): ApplicationHost {
  return writerSet({
    agent,
    writers: [
      postgresWriter({ clock }), mariadbWriter({ clock }), redisWriter({ clock }),
      sqliteWriter({ clock })],
    finders: [],
  })
}
