/** The agent as a process of its own: what it holds ends with it, and with its requestor. */

import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, rmSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { systemClock } from '../base/clock.ts'
import { systemRandom } from '../base/random.ts'
import { connectUnix } from '../base/unix-socket.ts'
import { connectRemoteHost, socketChannel } from '../channel/mod.ts'
import type { ApplicationHost } from '../consistency/mod.ts'

const MAIN = fileURLToPath(new URL('main.ts', import.meta.url))
const never = new AbortController().signal

let folder = ''
const at = (name: string): string => join(folder, name)
const isHeld = (): boolean => existsSync(at('held'))
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sp-'))
  for (const [name, text] of [
    ['pre', `touch ${at('held')}; echo "held: by a file"`],
    ['post', `test -e ${at('held')} && echo "held: until now"; rm -f ${at('held')}`],
  ] as const) {
    writeFileSync(at(name), `#!/bin/sh\n${text}\n`)
    chmodSync(at(name), 0o755)
  }
  writeFileSync(at('agent.yaml'), `scripts:
  - { name: it, preFreeze: [${at('pre')}], postThaw: [${at('post')}], data: [${folder}],
      limits: { freezeMs: 60000, holdMs: 60000, thawMs: 60000 } }\n`, { mode: 0o600 })
})
after(() => rm(folder, { recursive: true }))

function start(...args: readonly string[]): ChildProcess {
  return spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
}

async function connect(): Promise<ApplicationHost> {
  while (!existsSync(at('socket'))) await systemClock.sleep(20, never)
  const role = { what: 'the socket', code: 'agent-unreachable' } as const
  const socket = await connectUnix(at('socket'), role, never)
  return connectRemoteHost(
    { channel: socketChannel(socket), clock: systemClock, random: systemRandom }, never)
}

async function hold(host: ApplicationHost): Promise<void> {
  const application = (await host.discover(never)).find(({ name }) => name === 'script it')
  assert.ok(application !== undefined)
  const prepared = await host.prepare(application, never)
  assert.ok(prepared !== undefined)
  await prepared.beginFreeze().held
  assert.equal(isHeld(), true)
}

suite('an agent with a script', () => {
  for (const how of ['agent is killed', 'agent is told to end', 'requestor goes away'] as const) {
    test(`lets go when the ${how}`, async () => {
      const agent = start('--socket', at('socket'), '--config', at('agent.yaml'))
      try {
        await using host = await connect()
        await hold(host)
        if (how === 'agent is killed') agent.kill('SIGKILL')
        else if (how === 'agent is told to end') agent.kill('SIGTERM')
        else await host[Symbol.asyncDispose]()
        while (isHeld()) await systemClock.sleep(5, never)
      } finally {
        const ended = once(agent, 'exit')
        if (agent.exitCode === null && agent.signalCode === null) {
          agent.kill('SIGKILL')
          await ended
        }
        rmSync(at('socket'), { force: true })
      }
    })
  }

  test('says what is wrong with its configuration, and ends', async () => {
    for (const [text, code] of [['scripts: []', 0], ['script: []', 2]] as const) {
      writeFileSync(at('other.yaml'), text, { mode: 0o600 })
      const agent = start('--check', '--config', at('other.yaml'))
      let said = ''
      for (const stream of [agent.stdout, agent.stderr]) {
        stream?.on('data', (chunk: Buffer) => { said += chunk.toString() })
      }
      await once(agent, 'close')
      assert.equal(agent.exitCode, code)
      assert.match(said, code === 0 ? /is good/ : /line 1: unknown key "script"\n.*"scripts"/)
    }
  })
})
