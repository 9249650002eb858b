/** How the agent of this machine stands: installed, running, configured, and what it finds. */

import { access } from 'node:fs/promises'
import { causesOf } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import type { ApplicationHost } from '../../consistency/mod.ts'
import type { AgentConfig } from '../agent-config.ts'
import type { HookStanding } from '../../channel/mod.ts'
import { hookStandings } from '../hook/hook-standing.ts'
import { findPort } from '../virtio-port.ts'
import { isSameFile } from './replace-file.ts'
import { runningAgents } from './running-agents.ts'
import type { Places } from './places.ts'

export interface StatusParts {
  readonly places: Places
  /** The executable that asks. */
  readonly executable: string
  readonly port: string
  readonly loadConfig: () => Promise<AgentConfig>
  readonly openHost: (config: AgentConfig) => ApplicationHost
  /** For tests; default: of this machine. */
  readonly procRoot?: string
  readonly findPort?: (name: string) => string
}

/** What `status --json` prints, with `version` 1; `stillpoint agent status` reads it. */
export interface AgentStatus {
  /** `other`: not the one that asks. */
  readonly executable: 'this' | 'other' | 'missing'
  /** `replaced`: it runs, and the file that it was started from is another by now. */
  readonly running: 'yes' | 'replaced' | 'no'
  /** The device of its port; null: the machine has none. */
  readonly port: string | null
  /** Programs of platforms that run, and whether they tell the agent of freezes. */
  readonly hooks: readonly HookStanding[]
  /** What is wrong with its configuration; null: it is good. */
  readonly configurationFault: string | null
  /** Null: it cannot be told, and `applicationsFault` says why. */
  readonly applications: readonly {
    readonly name: string
    /** Whether there is a writer for it; else it is only named. */
    readonly isHoldable: boolean
    /** Why it is not known where all its data lies, or null. */
    readonly fault: string | null
  }[] | null
  readonly applicationsFault: string | null
}

/** Changes nothing; asks servers only what discovery asks them. */
export async function agentStatus(parts: StatusParts, signal: AbortSignal): Promise<AgentStatus> {
  const { places, executable, port } = parts
  const isThere = await access(places.executable).then(() => true, () => false)
  const agents = await runningAgents(places.executable, parts.procRoot)
  const running = agents.some(({ isCurrent }) => isCurrent) ? 'yes'
    : agents.length > 0 ? 'replaced' : 'no'
  return {
    executable: !isThere ? 'missing'
      : await isSameFile(executable, places.executable, 0o755) ? 'this' : 'other',
    running,
    port: portOf(port, parts.findPort ?? findPort),
    hooks: await hookStandings(parts.procRoot, places.root),
    ...await applicationsOf(parts, signal),
  }
}

/** True if backups reach the agent and it can do all that it is there for. */
export function isWell(status: AgentStatus): boolean {
  const isReached = status.port !== null || status.hooks.some(({ state }) => state === 'on')
  return status.running === 'yes' && isReached &&
    status.configurationFault === null && status.applications !== null
}

function portOf(name: string, find: (name: string) => string): string | null {
  try {
    return find(name)
  } catch {
    return null
  }
}

async function applicationsOf(
  { loadConfig, openHost }: StatusParts, signal: AbortSignal,
): Promise<Pick<AgentStatus, 'configurationFault' | 'applications' | 'applicationsFault'>> {
  let configurationFault: string | null = null
  const config = await loadConfig().catch((error: unknown) => {
    configurationFault = sentence(error)
    return undefined
  })
  if (config === undefined) {
    return { configurationFault, applications: null,
      applicationsFault: 'nobody is asked with a configuration that is not good' }
  }
  try {
    await using host = openHost(config)
    const found = await host.discover(signal)
    return { configurationFault, applicationsFault: null, applications: found.map(
      ({ name, kind, data }) => ({
        name: printable(name, 256), isHoldable: kind === 'protected',
        fault: data.state === 'located' ? null : printable(data.detail, 1000) })) }
  } catch (error) {
    signal.throwIfAborted()
    return { configurationFault, applications: null, applicationsFault: sentence(error) }
  }
}

function sentence(error: unknown): string {
  return printable(causesOf(error).join(': '), 1000)
}
