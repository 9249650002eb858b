/** Every writer and finder that the agent has, as one host. */

import type { Clock } from '../base/clock.ts'
import type { RandomBytes } from '../base/random.ts'
import type { ApplicationHost } from '../consistency/mod.ts'
import {
  mariadbWriter, otherServers, postgresWriter, redisWriter, scriptWriter, sqliteWriter,
  sqlServerWriter, strayFiles, writerSet,
} from '../writers/mod.ts'
import type { AgentConfig } from './agent-config.ts'

export interface MachineHostParts {
  /** As `ApplicationHost.agent`. */
  readonly agent: string
  readonly clock: Clock
  readonly random: RandomBytes
  readonly config: AgentConfig
}

export function machineHost({ agent, clock, random, config }: MachineHostParts): ApplicationHost {
  const { postgres, mariadb, redis, sqlite, sqlserver, files, scripts = [] } = config
  return writerSet({
    agent,
    writers: [
      postgresWriter({ clock, ...postgres }),
      mariadbWriter({ clock, ...mariadb }),
      redisWriter({
        clock, limits: redis?.limits ?? {}, account: (server) => redis?.loginOf(server) }),
      sqliteWriter({ clock, ...sqlite }),
      sqlServerWriter({ clock, random, ...sqlserver }),
      scriptWriter({ clock, random, scripts }),
    ],
    finders: [otherServers(), strayFiles({ clock, ...files })],
  })
}
