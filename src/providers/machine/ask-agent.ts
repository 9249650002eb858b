/** What a guest's agent is asked without a hold, over a connection that ends with the call. */

import { deadline, type Clock } from '../../base/clock.ts'
import { isFault } from '../../base/fault.ts'
import type { MachineSummary } from '../../catalog/mod.ts'
import type {
  FileSystemFreezer, FreezerMissing, Freezing, GuestFileSystem,
} from '../../consistency/mod.ts'
import { AgentClient } from '../guardian/agent-client.ts'
import { parseFileSystems } from '../guardian/agent-file-systems.ts'
import { GuardedFreezer, type FreezerOptions } from '../guardian/freezer.ts'
import type { Guard } from '../guardian/guard.ts'
import { diskIdsAt, type DiskAddress } from './disk-addresses.ts'
import { QemuPrograms } from './guest-programs.ts'
import { guestVss, type GuestVss } from './guest-vss.ts'

/** For an agent that is asked only whether it answers. */
const STATE_MS = 2_000
/** For all that is asked before a hold: a guest under emulation needs a second. */
const ANSWER_MS = 10_000

const DISABLED = {
  missing: 'agent-disabled',
  detail: 'the agent does not allow guest-fsfreeze-*: take them off its block-rpcs list',
} as const

/** Whether the agent answers and would freeze. Faults: the signal's reason. */
export async function agentState(
  path: string, clock: Clock, signal: AbortSignal): Promise<MachineSummary['agent']> {
  using limit = deadline(clock, STATE_MS, 'the agent', signal)
  try {
    await using agent = await AgentClient.connect(path, STATE_MS, clock, limit.signal)
    const { enabledCommands } = await agent.version(limit.signal)
    const isFrozen = await agent.status(limit.signal) === 'frozen'
    return isFrozen || enabledCommands.has('guest-fsfreeze-freeze') ? 'answers' : 'disabled'
  } catch (error) {
    signal.throwIfAborted()
    if (isFault(error, 'machine-busy')) return 'busy'
    if (isFault(error, 'agent-refused')) return 'disabled'
    if (isFault(error, 'agent-unreachable', 'agent-protocol', 'timed-out')) return 'silent'
    throw error
  }
}

/**
 * What a freeze would hold. An agent that does not answer is no fault. `acceptsTruncation`: as in
 * guest-vss.ts.
 */
export async function surveyAgent(
  path: string, addresses: readonly DiskAddress[], acceptsTruncation: boolean, clock: Clock,
  signal: AbortSignal,
): Promise<Freezing> {
  using limit = deadline(clock, ANSWER_MS, 'the agent', signal)
  try {
    await using agent = await AgentClient.connect(path, ANSWER_MS, clock, limit.signal)
    const { version, enabledCommands } = await agent.version(limit.signal)
    if (await agent.status(limit.signal) === 'frozen') {
      return { missing: 'agent-busy', detail: 'the guest is frozen' }
    }
    if (!enabledCommands.has('guest-fsfreeze-freeze')) return DISABLED
    const listed = parseFileSystems(await agent.fileSystems(limit.signal))
    const fileSystems = listed.map(({ mountpoint, type, device, disks }) => ({
      mountpoint, type, device, diskIds: diskIdsAt(disks, addresses) }))
    const programs = new QemuPrograms((command, args, signal) =>
      agent.ask(command, args, signal), clock)
    const vss = await guestVss(
      { agentVersion: version, fileSystems, programs, acceptsTruncation }, limit.signal)
    return vss.kind === 'refused' ? vss.missing
      : { by: 'agent', agent: agentName(version, vss),
        fileSystems: { state: 'listed', fileSystems } }
  } catch (error) {
    signal.throwIfAborted()
    return noAnswer(error)
  }
}

export interface GuardedWishes {
  /** It is known that nobody in the guest has the channel open. */
  readonly unopened: boolean
  /** As in guest-vss.ts. */
  readonly acceptsTruncation: boolean
}

/** How to freeze through the guard, which connects to the agent for it; or why not. */
export async function guardedFreezer(
  guard: Guard, addresses: readonly DiskAddress[],
  { unopened, acceptsTruncation }: GuardedWishes, clock: Clock, signal: AbortSignal,
): Promise<FileSystemFreezer | FreezerMissing> {
  try {
    const agent = await guard.open(ANSWER_MS)
    if (agent === null) return { missing: 'agent-silent', detail: 'the agent was not asked' }
    if (agent.status === 'frozen') {
      return { missing: 'agent-busy', detail: 'the guest was frozen by somebody else before' }
    }
    if (!agent.canFreeze) return DISABLED
    const diskIdsOf: FreezerOptions['diskIdsOf'] = (found) => diskIdsAt(found, addresses)
    const plain = new GuardedFreezer(
      { guard, clock, agent: agentName(agent.version, { kind: 'none' }), diskIdsOf })
    using limit = deadline(clock, ANSWER_MS, 'the agent', signal)
    const vss = await guestVss({
      agentVersion: agent.version, acceptsTruncation, programs: plain.programs,
      fileSystems: await listOrNone(plain, limit.signal),
    }, limit.signal)
    if (vss.kind === 'refused') return vss.missing
    return new GuardedFreezer({ guard, clock, agent: agentName(agent.version, vss), diskIdsOf })
  } catch (error) {
    const missing = noAnswer(error)
    return !unopened || missing.missing !== 'agent-silent' ? missing : { ...missing, detail:
      'nobody in the guest has the agent\'s channel open: install qemu-guest-agent there' }
  }
}

function agentName(version: string, vss: GuestVss): string {
  return vss.kind === 'fine' ? `qemu-ga ${version}, ${vss.words}` : `qemu-ga ${version}`
}

/** An agent that gives no list may be a Windows all the same. */
async function listOrNone(
  freezer: GuardedFreezer, signal: AbortSignal,
): Promise<readonly GuestFileSystem[] | undefined> {
  try {
    return await freezer.fileSystems(signal)
  } catch (error) {
    signal.throwIfAborted()
    if (isFault(error, 'agent-refused')) return undefined
    throw error
  }
}

function noAnswer(error: unknown): FreezerMissing {
  if (isFault(error, 'machine-busy')) return { missing: 'agent-busy', detail: error.message }
  if (isFault(error, 'agent-unreachable', 'agent-protocol', 'agent-refused', 'timed-out')) {
    return { missing: 'agent-silent', detail: error.message }
  }
  throw error
}
