/** `stillpoint-agent install`, `status` and `uninstall`: what they say, and their exit codes. */

import type { Clock } from '../../base/clock.ts'
import { deadline } from '../../base/clock.ts'
import { causesOf, Fault } from '../../base/fault.ts'
import { runProgram } from '../../base/program.ts'
import type { HookStanding } from '../../channel/mod.ts'
import { hookStandings } from '../hook/hook-standing.ts'
import { findPort as findPortHere } from '../virtio-port.ts'
import { agentStatus, isWell, type AgentStatus, type StatusParts } from './agent-status.ts'
import { installAgent, uninstallAgent, type Installed } from './install.ts'
import { EXECUTABLE, placesIn, type Places } from './places.ts'

/** Stopping waits for what is held to be released. */
const SYSTEMCTL_MS = 120_000

export interface VerbContext extends Omit<StatusParts, 'places' | 'executable'> {
  /** The one executable; undefined where the program runs from its sources. */
  readonly executable: string | undefined
  readonly clock: Clock
  readonly print: (text: string) => void
}

/** 0: done, and all is well; 3: done, and something is left to do, which is said. */
export type VerbCode = 0 | 3

/** Faults: `unsupported` from sources, `program-*`, `not-found`. */
export async function runInstall(
  root: string, context: VerbContext, signal: AbortSignal): Promise<VerbCode> {
  const { print, clock } = context
  const executable = own(context)
  const places = await placesIn(root)
  const done = await installAgent(
    executable, { places, systemctl: systemctlOf(clock) }, signal)
  print(`${done.isNew ? 'installed' : 'was installed already'}: ${places.executable}`)
  const isHere = places.root === '/'
  const left = [
    ...whatIsLeft(done, isHere), ...done.hooksLeft, ...isHere ? await unheardHooks(context) : [],
    ...isHere ? await configurationFault(context) : [],
  ]
  if (left.length === 0) {
    print(isHere ? `runs as process ${done.pids.join(', ')}` : 'systemd starts it with the system')
  }
  for (const line of left) print(line)
  return left.length === 0 ? 0 : 3
}

/** Hooks that are not run yet, where nothing else leads to the agent. */
async function unheardHooks(
  { procRoot, port, findPort = findPortHere }: VerbContext): Promise<readonly string[]> {
  try {
    findPort(port)
    return []
  } catch {
    const standings = await hookStandings(procRoot)
    return standings.flatMap(({ tool, state }) => state === 'on' ? []
      : [`${tool} ${STANDINGS[state]}`])
  }
}

const STANDINGS: Readonly<Record<HookStanding['state'], string>> = {
  'on': 'runs the hook',
  'ignored': 'runs without -F: hooks are ignored; run install',
  'restart': 'runs no hooks yet; run: systemctl restart qemu-guest-agent',
  'not-installed': 'does not run the hook; run install',
}

function whatIsLeft({ systemd, pids }: Installed, isHere: boolean): readonly string[] {
  if (systemd === 'none') {
    return [
      'not started: systemd does not run this system',
      `  do: let your init system run this as root, and again whenever it ends: ${
        EXECUTABLE} --wait`,
      '  do: let it end the agent alone, by SIGTERM, and not the whole group of its processes',
    ]
  }
  if (!isHere || pids.length > 0) return []
  return systemd === 'there' ? ['not started: systemd starts it with the system']
    : ['it ended as soon as it was started: journalctl -u stillpoint-agent says why']
}

function configurationFault({ loadConfig }: VerbContext): Promise<readonly string[]> {
  return loadConfig().then(() => [], (error: unknown) => [
    `it cannot serve: its configuration is not good: ${causesOf(error).join(': ')}`,
    '  do: correct it; stillpoint-agent --check says whether it is good'])
}

/** Faults: `program-*`, `not-found`. */
export async function runUninstall(
  root: string, { print, clock }: VerbContext, signal: AbortSignal): Promise<VerbCode> {
  const places = await placesIn(root)
  const { isNew, pids } = await uninstallAgent({ places, systemctl: systemctlOf(clock) }, signal)
  print(isNew ? `removed: ${places.executable}` : 'was not installed')
  print(`left as it is: ${places.config} and all that it names`)
  if (pids.length === 0) return 0
  print(`still running, because systemd did not start it: process ${pids.join(', ')}`)
  print('  do: take it out of your init system, and end it by SIGTERM')
  return 3
}

/** Faults: `not-found`. */
export async function runStatus(
  isJson: boolean, context: VerbContext, signal: AbortSignal): Promise<VerbCode> {
  const places = await placesIn('/')
  const status = await agentStatus(
    { ...context, places, executable: context.executable ?? process.execPath }, signal)
  context.print(isJson ? JSON.stringify({ version: 1, ...status })
    : statusLines(status, places, context.port).join('\n'))
  return isWell(status) ? 0 : 3
}

/** What a person reads; tested word for word. */
export function statusLines(
  status: AgentStatus, { executable, config }: Places, port: string): readonly string[] {
  const { applications } = status
  const lines: readonly (readonly [string, string])[] = [
    ['executable', {
      this: executable, other: `${executable}, which is not this one`, missing: 'not installed',
    }[status.executable]],
    ['running', {
      yes: 'yes', replaced: 'yes, one that was replaced since: run install, or restart it',
      no: 'no',
    }[status.running]],
    ['port', status.port === null ? `the machine has none named ${port}`
      : `${port} is ${status.port}`],
    ...status.hooks.map(({ tool, state }) => ['hooks', `${tool} ${STANDINGS[state]}`] as const),
    ['configuration', status.configurationFault ?? `good (${config}, or none)`],
    ['applications', applications === null ? status.applicationsFault ?? 'not known'
      : applications.length === 0 ? 'none found' : ''],
    ...(applications ?? []).map(({ name, isHoldable, fault }) => ['', `${name}: ${
      fault ?? (isHoldable ? 'can be held' : 'cannot be held')}`] as const),
  ]
  return lines.map(([name, text]) => `${name.padEnd(15)}${text}`.trimEnd())
}

function own({ executable }: VerbContext): string {
  if (executable !== undefined) return executable
  throw new Fault('unsupported', 'only the agent as one executable can be installed', {
    advice: 'Build it with: tools/node tools/build-agent.ts' })
}

function systemctlOf(
  clock: Clock): (args: readonly string[], signal: AbortSignal) => Promise<string> {
  return async (args, signal) => {
    using limit = deadline(clock, SYSTEMCTL_MS, `systemctl ${args[0] ?? ''}`, signal)
    const { stdout } = await runProgram('systemctl', args, { signal: limit.signal })
    return Buffer.from(stdout).toString()
  }
}
