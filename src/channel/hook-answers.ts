/** What the agent answers to one question at a time, asked through its hook client. */

import type { DiscoveredApplication, PreparedWriter } from '../consistency/mod.ts'
import { Fault } from '../base/fault.ts'
import { isJsonObject } from '../base/json.ts'
import {
  list, object, oneOf, parseApplications, parseHello, parsePrepared, text, type PreparedAnswer,
} from './answers.ts'
import { faultOf, plainFault } from './messages.ts'

/**
 * Whether a program of a platform in the machine tells the agent of freezes: `ignored`: it runs no
 * hooks; `restart`: it will when it is started again; `not-installed`: it runs others, not ours.
 */
export interface HookStanding {
  readonly tool: 'qemu-ga' | 'vmware-tools'
  readonly state: 'on' | 'ignored' | 'restart' | 'not-installed'
}

export interface HookDiscovery {
  readonly agent: string
  /** Of the programs that run. */
  readonly hooks: readonly HookStanding[]
  readonly applications: readonly DiscoveredApplication[]
}

export function parseDiscovery(value: unknown): HookDiscovery {
  const { hooks, applications } = object(value)
  return {
    ...parseHello(value), applications: parseApplications(applications),
    hooks: list(hooks, 16).map((entry) => {
      const { tool, state } = object(entry)
      return {
        tool: oneOf(tool, ['qemu-ga', 'vmware-tools']),
        state: oneOf(state, ['on', 'ignored', 'restart', 'not-installed']) }
    }),
  }
}

/** Of each protected application by its name: null where no writer can hold it. */
export type Announced = ReadonlyMap<
  string, Pick<PreparedWriter, 'contract' | 'limits'> | Fault | null>

export function encodeAnnounced(announced: Announced): unknown {
  return [...announced].map(([name, it]) => it instanceof Fault
    ? { name, fault: plainFault(it) }
    : { name, prepared: it === null ? null
      : { key: 0, contract: it.contract, limits: it.limits } })
}

export function parseAnnounced(value: unknown): Announced {
  return new Map(list(value, 256).map((entry) => {
    const { name, prepared, fault } = object(entry)
    const answer: PreparedAnswer | Fault | undefined =
      isJsonObject(fault) ? faultOf(fault) : parsePrepared(prepared)
    return [text(name, 256), answer ?? null] as const
  }))
}
