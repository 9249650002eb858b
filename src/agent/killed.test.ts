/**
 * The agent, as a process, is killed at each step of a hold of real servers: they go on, no session
 * of it stays, and the next agent can hold them.
 */

import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { rmSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { systemClock } from '../base/clock.ts'
import { systemRandom } from '../base/random.ts'
import { connectUnix } from '../base/unix-socket.ts'
import { connectRemoteHost, socketChannel } from '../channel/mod.ts'
import type { ApplicationHost, PreparedWriter } from '../consistency/mod.ts'
import { MariadbServer, PostgresServer, ServerFolder } from '../writers/testing/mod.ts'

const MAIN = fileURLToPath(new URL('main.ts', import.meta.url))
const never = new AbortController().signal
const STEPS = ['prepared', 'freezing', 'held', 'thawed'] as const
type Step = typeof STEPS[number]

interface Agent extends AsyncDisposable {
  readonly child: ChildProcess
  readonly host: ApplicationHost
}

async function startAgent(socketPath: string): Promise<Agent> {
  rmSync(socketPath, { force: true })
  const child = spawn(process.execPath, [MAIN, '--socket', socketPath, '--config', config],
    { stdio: 'inherit' })
  const ended = once(child, 'exit')
  const channel = socketChannel(await whenItListens(socketPath))
  const host = await connectRemoteHost(
    { channel, clock: systemClock, random: systemRandom }, never)
  return { child, host, [Symbol.asyncDispose]: async () => {
    child.kill('SIGKILL')
    await ended
    await host[Symbol.asyncDispose]()
  } }
}

/** The file of a socket is there a moment before anybody listens. */
async function whenItListens(path: string): Promise<Socket> {
  for (;;) {
    try {
      return await connectUnix(path, { what: 'the socket', code: 'agent-unreachable' }, never)
    } catch {
      await systemClock.sleep(20, never)
    }
  }
}

/** Other servers run on this host too: ours is known by where its data lies. */
async function prepare(host: ApplicationHost, dataFolder: string): Promise<PreparedWriter> {
  const application = (await host.discover(never)).find(({ data }) =>
    data.state === 'located' && data.places.some(({ path }) => path.startsWith(dataFolder)))
  assert.ok(application !== undefined)
  const prepared = await host.prepare(application, never)
  assert.ok(prepared !== undefined)
  return prepared
}

/** Goes as far as `step`. */
async function holdUntil(step: Step, prepared: PreparedWriter): Promise<void> {
  if (step === 'prepared') return
  const attempt = prepared.beginFreeze()
  if (step === 'freezing') {
    attempt.held.catch(() => {}) // lost with the agent, or not
    return
  }
  await attempt.held
  if (step === 'thawed') await attempt.thaw()
}

interface Server {
  readonly dataFolder: string
  /** A row that is acknowledged. */
  readonly write: () => Promise<unknown>
  /** Sessions but that which asks. */
  readonly sessions: () => Promise<number>
}

let folder: ServerFolder
/** Root's alone, as the agent wants it. */
let configFolder = ''
let config = ''
const servers = new Map<string, Server>()
before(async () => {
  configFolder = await mkdtemp(join(tmpdir(), 'sp-'))
  config = join(configFolder, 'agent.yaml')
  // No long look round on the host of the test.
  writeFileSync(config, 'files: { limits: { lookMs: 1 } }\n', { mode: 0o600 })
  folder = await ServerFolder.make('postgres')
  const mariadb = await MariadbServer.start(folder, 'mariadb')
  await mariadb.query('create database t', 'create table t.rows (n int) engine=innodb')
  servers.set('MariaDB', {
    dataFolder: mariadb.dataFolder,
    write: () => mariadb.query('insert into t.rows values (1)'),
    sessions: async () => Number((await mariadb.query(
      'select count(*) as n from information_schema.processlist ' +
      "where id <> connection_id() and user not in ('system user', 'event_scheduler')",
    ))[0]?.['n']),
  })
  const postgres = await PostgresServer.start(folder, 'postgres', 5499)
  await postgres.query('create table rows (n int)')
  servers.set('PostgreSQL', {
    dataFolder: postgres.dataFolder,
    write: () => postgres.query('insert into rows values (1)'),
    sessions: async () => Number((await postgres.query('select count(*) as n from ' +
      "pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()",
    ))[0]?.['n']),
  })
})
after(async () => {
  await folder[Symbol.asyncDispose]()
  await rm(configFolder, { recursive: true })
})

for (const name of ['MariaDB', 'PostgreSQL']) {
  suite(`${name}, when the agent is killed`, () => {
    for (const step of STEPS) {
      test(`${step}, goes on, without a session of it, and can be held again`, async () => {
        const server = servers.get(name)
        assert.ok(server !== undefined)
        const socketPath = join(folder.path, 'agent.sock')
        {
          await using agent = await startAgent(socketPath)
          const prepared = await prepare(agent.host, server.dataFolder)
          assert.notEqual(await server.sessions(), 0)
          await holdUntil(step, prepared)
          agent.child.kill('SIGKILL')
        }
        await server.write() // waits for as long as anything is locked
        while (await server.sessions() > 0) await systemClock.sleep(20, never)
        await using next = await startAgent(socketPath)
        await using again = await prepare(next.host, server.dataFolder)
        const attempt = again.beginFreeze()
        await attempt.held
        assert.equal((await attempt.thaw()).state, 'thawed')
        await server.write()
      })
    }
  })
}
