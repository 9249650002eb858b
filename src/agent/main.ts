/**
 * Entry point of the agent: resident in a machine, it finds the applications there and holds them
 * when the requestor asks (README.md). It writes to no file, and starts no process but for scripts.
 */

import { parseArgs } from 'node:util'
import { systemClock as clock } from '../base/clock.ts'
import { causesOf, Fault } from '../base/fault.ts'
import { systemRandom } from '../base/random.ts'
import { serveHost, type ByteChannel } from '../channel/mod.ts'
import { AGENT_CONFIG, loadAgentConfig } from './agent-config.ts'
import { machineHost } from './machine-host.ts'
import { serveSocket } from './serve-socket.ts'
import { AGENT_PORT, findPort, servePort } from './virtio-port.ts'

/** Put in by the build; the source tree has none. */
declare const STILLPOINT_VERSION: string | undefined

const USAGE = `usage: stillpoint-agent [--port NAME | --socket PATH] [--config FILE]
       stillpoint-agent --check [--config FILE] | --version

Serves the Stillpoint that backs this machine up, over the port ${AGENT_PORT} of the
virtual machine, or over a unix socket. The configuration is ${AGENT_CONFIG},
which may be missing; --check reads it and says whether it is good.`

async function main(): Promise<void> {
  const { values } = parseArgs({ options: {
    port: { type: 'string', default: AGENT_PORT },
    socket: { type: 'string' },
    config: { type: 'string' },
    check: { type: 'boolean', default: false },
    version: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  } })
  const version = typeof STILLPOINT_VERSION === 'string' ? STILLPOINT_VERSION : 'from source'
  if (values.help || values.version) {
    process.stdout.write(`${values.help ? USAGE : version}\n`)
    return
  }
  const config = await loadAgentConfig(values.config)
  if (values.check) {
    process.stdout.write('the configuration is good\n')
    return
  }
  const controller = new AbortController()
  for (const name of ['SIGTERM', 'SIGINT'] as const) {
    process.once(name, () => controller.abort(new Fault('interrupted', `ended by ${name}`)))
  }
  const { signal } = controller
  await using host = machineHost({
    agent: `stillpoint-agent ${version}`, clock, random: systemRandom, config })
  const serve = (channel: ByteChannel): Promise<void> => {
    signal.addEventListener('abort', () => channel.close(), { once: true })
    return serveHost(channel, { host, clock })
  }
  if (values.socket === undefined) await servePort(findPort(values.port), serve, clock, signal)
  else await serveSocket(values.socket, serve, signal)
}

main().then(() => process.exit(0), (error: unknown) => {
  const isUsage = error instanceof TypeError && 'code' in error
  process.stderr.write(`error: ${causesOf(error).join('\n cause: ')}\n`)
  if (error instanceof Fault && error.advice !== undefined) {
    process.stderr.write(`    do: ${error.advice}\n`)
  }
  process.exit(isUsage ? 2 : 1)
})
