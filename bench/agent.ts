/**
 * The agent as one executable on this host: how long it takes to start, and its memory.
 * `tools/node bench/agent.ts [RUNS]`, default 20. Started is: it answers on its socket. What it
 * needs at work is measured in a guest, by `bench/hold-applications.ts`.
 */

import { spawn } from 'node:child_process'
import { readFileSync, statSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock as clock } from '../src/base/clock.ts'
import { systemRandom as random } from '../src/base/random.ts'
import { connectUnix } from '../src/base/unix-socket.ts'
import { connectRemoteHost, socketChannel } from '../src/channel/mod.ts'
import type { ApplicationHost } from '../src/consistency/mod.ts'
import { buildAgent, defaultCacheDir } from '../src/demo/mod.ts'
import { spread } from './spread.ts'

const runs = Number(process.argv[2] ?? 20)
const signal = new AbortController().signal
const program = await buildAgent(defaultCacheDir(), signal)
const folder = await mkdtemp(join(tmpdir(), 'sp-bench-'))
const startMs: number[] = []
const memoryMiB: number[] = []
try {
  for (let run = 0; run < runs; run++) await start()
  console.log(spread('start to the first answer ms', startMs))
  console.log(spread('memory when it has answered MiB', memoryMiB))
  console.log(`the executable: ${(statSync(program).size / 2 ** 20).toFixed(1)} MiB`)
} finally {
  await rm(folder, { recursive: true, force: true })
}

async function start(): Promise<void> {
  const path = join(folder, 'agent')
  const fromMs = clock.monotonicMs()
  const child = spawn(program, ['--socket', path], { stdio: 'inherit' })
  try {
    await using _ = await whenItAnswers(path)
    startMs.push(clock.monotonicMs() - fromMs)
    memoryMiB.push(memory(child.pid))
  } finally {
    child.kill('SIGKILL')
    await new Promise((resolve) => child.once('exit', resolve))
    await rm(path, { force: true })
  }
}

async function whenItAnswers(path: string): Promise<ApplicationHost> {
  for (;;) {
    try {
      const socket = await connectUnix(
        path, { what: 'the agent', code: 'agent-unreachable' }, signal)
      return await connectRemoteHost({ channel: socketChannel(socket), clock, random }, signal)
    } catch {
      await clock.sleep(2, signal) // it does not listen yet
    }
  }
}

function memory(pid: number | undefined): number {
  const status = readFileSync(`/proc/${pid ?? 0}/status`, 'utf8')
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) / 1024
}
