/** What a prepare would find in a QEMU machine, without touching it. */

import { deadline, type Clock } from '../../base/clock.ts'
import { isFault } from '../../base/fault.ts'
import type { Freezing, ProviderSurvey } from '../../consistency/mod.ts'
import { AgentClient } from '../guardian/agent-client.ts'
import { parseFileSystems } from '../guardian/agent-file-systems.ts'
import { chooseDisks } from './choose-disks.ts'
import { diskIdsAt } from './disk-addresses.ts'
import { discoverDisks, type DiskAddress } from './disks.ts'
import { agentChannel, missingAgent } from './guest-agent.ts'
import { powerOf } from './power.ts'
import type { QmpClient } from './qmp-client.ts'

/** For all that the agent is asked: a guest under emulation needs a second. */
const AGENT_ANSWER_MS = 10_000

/**
 * Asks the monitor, and the guest's agent over a connection that ends with the call; no hold is
 * under way then that could need it. Faults: `platform-*`, `nothing-to-back-up`.
 */
export async function surveyMachine(
  client: QmpClient, agentPath: string | undefined, exclude: readonly string[], clock: Clock,
  signal: AbortSignal,
): Promise<ProviderSurvey> {
  const power = await powerOf(client, signal)
  const { disks, leftOut, addresses } =
    chooseDisks(await discoverDisks(client, signal), exclude)
  const channel = agentPath === undefined
    ? undefined : await agentChannel(client, agentPath, signal)
  const missing = missingAgent(agentPath, channel, power)
  const freezing = missing ?? await askAgent(agentPath ?? '', addresses, clock, signal)
  return { power, disks: disks.map(({ id, sizeBytes }) => ({ id, sizeBytes })), leftOut, freezing }
}

async function askAgent(
  path: string, addresses: readonly DiskAddress[], clock: Clock, signal: AbortSignal,
): Promise<Freezing> {
  using limit = deadline(clock, AGENT_ANSWER_MS, 'the agent', signal)
  try {
    await using agent = await AgentClient.connect(path, AGENT_ANSWER_MS, clock, limit.signal)
    const { version, enabledCommands } = await agent.version(limit.signal)
    if (await agent.status(limit.signal) === 'frozen') {
      return { missing: 'agent-busy', detail: 'the guest is frozen' }
    }
    if (!enabledCommands.has('guest-fsfreeze-freeze')) {
      return { missing: 'agent-disabled', detail:
        'the agent does not allow guest-fsfreeze-*: take them off its block-rpcs list' }
    }
    const listed = parseFileSystems(await agent.fileSystems(limit.signal))
    return { by: 'agent', agent: `qemu-ga ${version}`, fileSystems: { state: 'listed',
      fileSystems: listed.map(({ mountpoint, type, device, disks }) => ({
        mountpoint, type, device, diskIds: diskIdsAt(disks, addresses) })) } }
  } catch (error) {
    signal.throwIfAborted()
    if (!isFault(error, 'agent-unreachable', 'agent-protocol', 'agent-refused', 'timed-out')) {
      throw error
    }
    return { missing: 'agent-silent', detail: error.message }
  }
}
