/** `stillpoint backup` killed at each step of a run on a real guest whose hook takes its time. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { systemClock as clock } from '../../src/base/clock.ts'
import type { RunningGuest } from '../../src/demo/mod.ts'
import { QmpClient } from '../../src/providers/testing/mod.ts'
import { startRelay } from '../hostile/relay.ts'
import { leftOvers } from './left-overs.ts'
import { PROGRAM } from './program.ts'
import { newRepository, PASSWORD, readyGuest, testFolder, withRepository } from './rig.ts'

const LIMITS = { timeout: 600_000 }
const RUN_DIR = '/run/stillpoint'
/** From the later of the kill and the agent's answer to the thaw's being issued, at most. */
const PROMISED_MS = 2_000

/** What is heard of a run: requests and answers at its two sockets, and its output. */
type Heard = (where: 'to-agent' | 'from-agent' | 'to-qemu' | 'from-qemu' | 'output', text: string,
) => boolean

/** When a run is killed, and whether a freeze was issued by then. */
interface Step {
  readonly name: string
  readonly isDue: Heard
  readonly frozen: boolean
  /** The `cont` does not reach QEMU: only the guardian can let it run again. */
  readonly withoutCont?: boolean
}

const STEPS: readonly Step[] = [
  { name: 'before the freeze', frozen: false,
    isDue: (where, text) => where === 'to-qemu' && text.includes('copy-before-write') },
  { name: 'while the freeze is pending', frozen: true,
    isDue: (where, text) => where === 'to-agent' && text.includes('"guest-fsfreeze-freeze"') },
  { name: 'frozen', frozen: true,
    isDue: (where, text) => where === 'from-agent' && text.startsWith('{"return": 2}') },
  { name: 'between stop and cont', frozen: true, withoutCont: true,
    isDue: (where, text) => where === 'from-qemu' && /"event": "STOP"/.test(text) },
  { name: 'after the commit', frozen: true,
    isDue: (where, text) => where === 'from-qemu' && /"event": "RESUME"/.test(text) },
  { name: 'as the thaw is issued', frozen: true,
    isDue: (where, text) => where === 'to-agent' && text.includes('"guest-fsfreeze-thaw"') },
  { name: 'in capture', frozen: false,
    isDue: (where, text) => where === 'output' && text.includes('"phase":"reading"') },
  { name: 'in seal', frozen: false,
    isDue: (where, text) => where === 'output' && text.includes('"phase":"sealing"') },
]

/** A guest behind relays that hear all that a run says to it. */
class Tapped implements AsyncDisposable {
  readonly guest: RunningGuest
  readonly qmp: string
  readonly agent: string
  step: Step | undefined
  kill = (): void => {}
  killedMs = NaN
  /** When the agent answered the freeze, and when the last thaw was issued. */
  answeredMs = -Infinity
  thawMs = NaN
  rowsAtThaw = 0
  readonly #stack = new AsyncDisposableStack()

  private constructor(guest: RunningGuest, folder: string) {
    this.guest = guest
    this.qmp = join(folder, 'qmp')
    this.agent = join(folder, 'agent')
  }

  static async start(guest: RunningGuest, folder: string): Promise<Tapped> {
    const tapped = new Tapped(guest, folder)
    assert.ok(guest.agentSocket !== undefined)
    tapped.#stack.use(await startRelay(tapped.qmp, guest.qmpSocket, (line) => {
      tapped.hear('from-qemu', line.toString('latin1'))
      return { send: [line] }
    }, (request) => {
      tapped.hear('to-qemu', request)
      return tapped.step?.withoutCont === true && request.includes('"stop"')
        ? { pass: request.slice(0, request.indexOf('\n') + 1) } : undefined
    }))
    tapped.#stack.use(await startRelay(tapped.agent, guest.agentSocket, (line) => {
      tapped.hear('from-agent', line.toString('latin1'))
      return { send: [line] }
    }, (request) => {
      tapped.hear('to-agent', request)
      return undefined
    }))
    return tapped
  }

  hear(...[where, text]: Parameters<Heard>): void {
    if (where === 'from-agent' && text.startsWith('{"return": 2}') && Number.isNaN(this.thawMs)) {
      this.answeredMs = clock.monotonicMs()
    }
    if (where === 'to-agent' && text.includes('"guest-fsfreeze-thaw"')) {
      this.thawMs = clock.monotonicMs()
      this.rowsAtThaw = rows(this.guest)
    }
    if (this.step?.isDue(where, text) !== true || !Number.isNaN(this.killedMs)) return
    this.killedMs = clock.monotonicMs()
    this.kill()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync()
  }
}

interface Ended {
  readonly code: number | null
  readonly output: string
}

/** Runs the program, and kills it at the step, if one is given. */
async function run(
  t: TestContext, tapped: Tapped, repositoryPath: string, step?: Step): Promise<Ended> {
  const { qmp, agent, guest } = tapped
  tapped.answeredMs = -Infinity
  tapped.thawMs = tapped.killedMs = NaN
  tapped.step = step
  const child = spawn(PROGRAM, ['backup', '--json', '--on',
    `qemu:qmp=${qmp},agent=${agent},guardian-qmp=${guest.secondQmpSocket},name=tiny`], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, RESTIC_REPOSITORY: repositoryPath, RESTIC_PASSWORD: PASSWORD } })
  tapped.kill = () => { child.kill('SIGKILL') }
  t.signal.addEventListener('abort', tapped.kill, { once: true })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (text: Buffer) => {
      output += text.toString()
      tapped.hear('output', text.toString())
    })
  }
  const code = await new Promise<number | null>((resolve) => { child.once('exit', resolve) })
  return { code, output }
}

const rows = ({ witness }: RunningGuest): number => witness.lastAcknowledged('rows')?.id ?? 0

/** `NODE POINT` for each bitmap of ours in the machine, in order. */
async function bitmaps(guest: RunningGuest, signal: AbortSignal): Promise<readonly string[]> {
  await using qmp = await QmpClient.connect(guest.secondQmpSocket, clock, signal)
  const nodes = await qmp.execute('query-named-block-nodes', { flat: true }, signal) as readonly {
    readonly 'node-name': string
    readonly 'dirty-bitmaps'?: readonly { readonly name?: string }[]
  }[]
  return nodes.flatMap((node) => (node['dirty-bitmaps'] ?? []).map(({ name = '' }) =>
    `${node['node-name']} ${name.split(':').slice(1, 3).join(' ')}`)).toSorted()
}

/** Files of runs on this machine, in the run directory and beside its disks. */
async function filesOf({ guest, qmp }: Tapped): Promise<readonly string[]> {
  const socketPrefix = `nbd-${createHash('sha256').update(qmp).digest('hex').slice(0, 8)}`
  const left = (await readdir(dirname(guest.qmpSocket)))
    .filter((name) => name.startsWith('stillpoint'))
  for (const name of await readdir(RUN_DIR)) {
    const isRecord = name.includes('.hold') &&
      (await readFile(join(RUN_DIR, name), 'utf8').catch(() => '')).includes(qmp)
    if (isRecord || name.startsWith(socketPrefix)) left.push(name)
  }
  return left
}

test('killed at any step, a run leaves a guest that works, and the next one nothing else',
  LIMITS, async (t) => {
    const guest = await readyGuest(t, { hook: { freezeSleepS: 1 } })
    await using tapped = await Tapped.start(guest, await testFolder(t))
    const repositoryPath = await newRepository(t)
    const repositoryId = await withRepository(repositoryPath, t, async ({ id }) => id)
    const first = await run(t, tapped, repositoryPath)
    assert.equal(first.code, 0, first.output)
    for (const step of STEPS) {
      await t.test(step.name, async (t) => {
        const killed = await run(t, tapped, repositoryPath, step)
        assert.equal(killed.code, null, killed.output)
        const atKill = rows(guest)
        await guest.witness.until('rows came again', () => rows(guest) > 3 +
          (step.frozen && Number.isNaN(tapped.thawMs) ? Infinity
            : Math.max(atKill, tapped.rowsAtThaw)), t.signal)
        const { thawMs, answeredMs, killedMs } = tapped
        if (step.frozen) {
          const issuedMs = thawMs - Math.max(killedMs, answeredMs)
          t.diagnostic(`the thaw was issued after ${issuedMs.toFixed(0)} ms`)
          assert.ok(issuedMs < PROMISED_MS, `the thaw was issued only after ${issuedMs} ms`)
        } else assert.ok(Number.isNaN(thawMs) || thawMs < killedMs, 'a thaw of nothing')

        const next = await run(t, tapped, repositoryPath)
        assert.equal(next.code, 0, next.output)
        assert.match(next.output, /"grade":"filesystem"/)
        const pointId = /"point":"([0-9a-f-]{36})"/.exec(next.output)?.[1]
        assert.deepEqual(await leftOvers(guest, t.signal), [])
        assert.deepEqual(await filesOf(tapped), [])
        assert.deepEqual(await bitmaps(guest, t.signal),
          guest.disks.map(({ nodeName }) => `${nodeName} ${repositoryId} ${pointId}`).toSorted())
      })
    }
  })
