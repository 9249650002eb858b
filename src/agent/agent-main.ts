/**
 * The agent: resident in a machine, it finds the applications there and holds them when the
 * requestor asks (README.md); and the commands that install it. Starts no process but for scripts.
 */

import { isSea } from 'node:sea'
import { parseArgs } from 'node:util'
import { systemClock as clock } from '../base/clock.ts'
import { causesOf, Fault } from '../base/fault.ts'
import { systemRandom } from '../base/random.ts'
import { printable } from '../base/text.ts'
import { serveHost, type ByteChannel } from '../channel/mod.ts'
import type { ApplicationHost } from '../consistency/mod.ts'
import { AGENT_CONFIG, loadAgentConfig, type AgentConfig } from './agent-config.ts'
import { serveDesk } from './hook/serve-desk.ts'
import { EXECUTABLE } from './install/places.ts'
import { runInstall, runStatus, runUninstall, type VerbContext } from './install/verbs.ts'
import { machineHost } from './machine-host.ts'
import { serveSocket } from './serve-socket.ts'
import { AGENT_PORT, findPort, servePort, waitForPort } from './virtio-port.ts'

/** Put in by the build; the source tree has none. */
declare const STILLPOINT_VERSION: string | undefined

const USAGE = `usage: stillpoint-agent [--port NAME [--wait] | --socket PATH] [--config FILE]
       stillpoint-agent install | uninstall [--root FOLDER]
       stillpoint-agent hook freeze | thaw
       stillpoint-agent status [--json] [--port NAME] [--config FILE]
       stillpoint-agent --check [--config FILE] | --version

Serves the Stillpoint that backs this machine up, over the port ${AGENT_PORT} of the
virtual machine, or over a unix socket; --wait waits for the port to appear. Serves the platform's
freeze hooks besides. The configuration is ${AGENT_CONFIG}, which may be missing;
--check reads it and says whether it is good.

  install    copies this executable to ${EXECUTABLE} and lets systemd run it;
             with --root into the system in that folder
  uninstall  stops and removes both; the configuration stays
  hook       what freeze hooks of qemu-ga and scripts of VMware Tools run: tells the agent that runs
             of a freeze to come, 1 unless all applications hold still, or of a thaw
  status     whether it runs, its port and hooks, its configuration, and which applications it finds

Each of them can be run again at any time. Exit codes: 0 done; 1 failed; 2 the command line is
wrong; 3 done, but something is left to do, which is said.`

function parseCommand() { // its type is that of the options
  return parseArgs({ allowPositionals: true, options: {
    port: { type: 'string', default: AGENT_PORT },
    wait: { type: 'boolean', default: false },
    socket: { type: 'string' },
    config: { type: 'string' },
    root: { type: 'string', default: '/' },
    json: { type: 'boolean', default: false },
    check: { type: 'boolean', default: false },
    version: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  } })
}

type Options = ReturnType<typeof parseCommand>['values']

/** Returns the exit code. Faults: those of its commands; a TypeError where options are wrong. */
export async function main(): Promise<number> {
  const { values, positionals: [verb, ...rest] } = parseCommand()
  if (values.help || values.version) {
    process.stdout.write(`${values.help ? USAGE : version()}\n`)
    return 0
  }
  const controller = new AbortController()
  for (const name of ['SIGTERM', 'SIGINT'] as const) {
    process.once(name, () => controller.abort(new Fault('interrupted', `ended by ${name}`)))
  }
  if (rest.length > 0) throw new Fault('usage', 'more than one command is given')
  if (verb !== undefined) return runVerb(verb, values, controller.signal)
  if (values.check) {
    await loadAgentConfig(values.config)
    process.stdout.write('the configuration is good\n')
  } else await serve(values, controller.signal)
  return 0
}

function version(): string {
  return typeof STILLPOINT_VERSION === 'string' ? STILLPOINT_VERSION : 'from source'
}

function hostOf(config: AgentConfig): ApplicationHost {
  return machineHost({
    agent: `stillpoint-agent ${version()}`, clock, random: systemRandom, config })
}

async function serve(values: Options, signal: AbortSignal): Promise<void> {
  const config = await loadAgentConfig(values.config)
  await using host = hostOf(config)
  await using hooked = hostOf(config) // each has found its own applications
  const holds = new Set<object>()
  const ended = new AbortController()
  const over = AbortSignal.any([signal, ended.signal])
  const serveOne = (channel: ByteChannel): Promise<void> => {
    over.addEventListener('abort', () => channel.close(), { once: true })
    return serveHost(channel, { host, clock, holds })
  }
  // A test's agent on a socket leaves the machine's alone.
  const hasDesk = values.socket === undefined || values.root !== '/'
  const desk = !hasDesk ? Promise.resolve()
    : serveDesk({ root: values.root, host: hooked, clock, holds }, over).catch((error: unknown) => {
      process.stderr.write(`warning: hooks are not served: ${causesOf(error).join(': ')}\n`)
    })
  try {
    if (values.socket !== undefined) return await serveSocket(values.socket, serveOne, over)
    const port = values.wait ? await waitForPort(values.port, clock, over) : findPort(values.port)
    if (port !== undefined) await servePort(port, serveOne, clock, over)
  } finally {
    ended.abort(new Fault('interrupted', 'the agent ends'))
    await desk
  }
}

function printLine(text: string): void {
  process.stdout.write(`${text}\n`)
}

async function runVerb(verb: string, values: Options, signal: AbortSignal): Promise<number> {
  const { root, port, json } = values
  const context: VerbContext = {
    // The file that runs, whatever has its name by now.
    executable: isSea() ? '/proc/self/exe' : undefined,
    clock, port, openHost: hostOf, loadConfig: () => loadAgentConfig(values.config),
    print: printLine,
  }
  switch (verb) {
    case 'install': return runInstall(root, context, signal)
    case 'uninstall': return runUninstall(root, context, signal)
    case 'status': return runStatus(json, context, signal)
    default: throw new Fault('usage', `there is no command ${printable(verb, 60)}`, {
      advice: 'See --help.' })
  }
}
