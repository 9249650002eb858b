/** What a prepare would find in a QEMU machine, without touching it. */

import type { Clock } from '../../base/clock.ts'
import type { ProviderSurvey } from '../../consistency/mod.ts'
import { surveyAgent } from '../machine/ask-agent.ts'
import { chooseDisks } from '../machine/choose-disks.ts'
import { discoverDisks } from './disks.ts'
import { agentChannel, missingAgent } from './guest-agent.ts'
import type { QemuOptions } from './options.ts'
import { powerOf } from './power.ts'
import type { QmpClient } from './qmp-client.ts'

/**
 * Asks the monitor, and the guest's agent over a connection that ends with the call; no hold is
 * under way then that could need it. Faults: `platform-*`, `nothing-to-back-up`.
 */
export async function surveyMachine(
  client: QmpClient, { agent: agentPath, acceptLogTruncation = false }: QemuOptions,
  exclude: readonly string[], clock: Clock,
  signal: AbortSignal,
): Promise<ProviderSurvey> {
  const power = await powerOf(client, signal)
  const found = await discoverDisks(client, signal)
  const { disks, leftOut } = chooseDisks(found, exclude)
  const channel = agentPath === undefined
    ? undefined : await agentChannel(client, agentPath, signal)
  const missing = missingAgent(agentPath, channel, power)
  const freezing = missing ?? await surveyAgent(
    agentPath ?? '', found.addresses, acceptLogTruncation, clock, signal)
  return { power, disks: disks.map(({ id, sizeBytes }) => ({ id, sizeBytes })), leftOut, freezing }
}
