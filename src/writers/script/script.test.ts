import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync,
} from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, beforeEach, suite, test } from 'node:test'
import { systemClock } from '../../base/clock.ts'
import { systemRandom } from '../../base/random.ts'
import type { PreparedWriter, Writer, WriterLimits } from '../../consistency/mod.ts'
import { writerContract } from '../../consistency/testing/mod.ts'
import { scriptWriter } from './writer.ts'

const never = new AbortController().signal
const LONG: WriterLimits = { freezeMs: 60_000, holdMs: 60_000, thawMs: 60_000 }

const folders: string[] = []
/**
 * Of each test its own: what a test before this one began may run on for a moment, and a shell goes
 * on reading a script that is written over under it.
 */
let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sp-'))
  folders.push(folder)
})
after(async () => {
  for (const path of folders) await rm(path, { recursive: true, force: true, maxRetries: 10 })
})

/** Two commands in shell, which find the folder in `$1`. */
function writerOf(pre: string, post: string, limits: Partial<WriterLimits> = {}): Writer {
  for (const [name, text] of [['pre', pre], ['post', post]] as const) {
    writeFileSync(join(folder, name), `#!/bin/sh\ncd "$1"\n${text}\n`)
    chmodSync(join(folder, name), 0o755)
  }
  return scriptWriter({
    clock: systemClock, random: systemRandom,
    scripts: [{
      name: 'it', data: [folder], limits: { ...LONG, ...limits },
      preFreeze: [join(folder, 'pre'), folder], postThaw: [join(folder, 'post'), folder] }],
  })
}

async function prepare(
  pre: string, post: string, limits: Partial<WriterLimits> = {}): Promise<PreparedWriter> {
  const writer = writerOf(pre, post, limits)
  const [application] = await writer.discover(never)
  assert.ok(application !== undefined)
  return writer.prepare(application, never)
}

const HOLD = 'touch held; echo "held: by a file"'
const RELEASE = 'test -e held && echo "held: until now"; rm -f held'

writerContract('the writer of scripts', async () => ({
  writer: writerOf(HOLD, RELEASE),
  isHeld: async () => existsSync(join(folder, 'held')),
  [Symbol.asyncDispose]: async () => rmSync(join(folder, 'held'), { force: true }),
}))

suite('the commands of a script', () => {
  test('are kept in what they said, verbatim, and know which they are', async () => {
    await using it = await prepare(
      'echo "held: $STILLPOINT_STEP"; echo trouble >&2', 'echo "held: $STILLPOINT_STEP"')
    const attempt = it.beginFreeze()
    assert.match((await attempt.held).statement,
      /ended with 0: held: pre-freeze\ntrouble$/)
    const outcome = await attempt.thaw()
    assert.ok(outcome.state === 'thawed' && outcome.heldThroughout)
    assert.match(outcome.statement, /held: post-thaw$/)
  })

  test('see nothing of the environment of the agent', async () => {
    await using it = await prepare('echo "held: $(env | sort | tr "\\n" " ")"', 'true')
    const { statement } = await it.beginFreeze().held
    assert.match(statement, / HOME=\/ LC_ALL=C (OLDPWD=\/ )?PATH=[^ ]+ PWD=\S+ STILLPOINT_STEP=/)
  })

  test('that end with 0 and say nothing prove nothing', async () => {
    await using silent = await prepare('true', RELEASE)
    const attempt = silent.beginFreeze()
    await assert.rejects(attempt.held, /did not say what it holds/)
    await attempt.thaw()
    await using late = await prepare(HOLD, 'rm -f held; echo it had been let go')
    const second = late.beginFreeze()
    await second.held
    const outcome = await second.thaw()
    assert.ok(outcome.state === 'thawed' && !outcome.heldThroughout)
    assert.match(outcome.statement, /it had been let go/)
  })

  test('fail with their exit code and last words; the thaw is run all the same', async () => {
    await using it = await prepare('touch held; echo no such lock >&2; exit 3', RELEASE)
    const attempt = it.beginFreeze()
    await assert.rejects(attempt.held, /ended with 3: no such lock/)
    const outcome = await attempt.thaw()
    assert.ok(outcome.state === 'thawed' && !outcome.heldThroughout)
    assert.equal(existsSync(join(folder, 'held')), false)
  })

  test('that hang are killed with all that they began', async () => {
    await using it = await prepare(
      'sleep 1000 & echo $! >child; wait', RELEASE, { freezeMs: 300 })
    const attempt = it.beginFreeze()
    await assert.rejects(attempt.held, /was killed; its limit is 300 ms/)
    await attempt.thaw()
    const child = Number(readFileSync(join(folder, 'child'), 'utf8'))
    while (isRunning(child)) await systemClock.sleep(5, never)
  })

  test('are killed when the thaw comes first, before the other is begun', async () => {
    await using it = await prepare(
      'touch begun; sleep 1000; touch late', 'test -e begun && echo "held: no"; rm -f begun')
    const attempt = it.beginFreeze()
    attempt.held.catch(() => {})
    while (!existsSync(join(folder, 'begun'))) await systemClock.sleep(5, never)
    const outcome = await attempt.thaw()
    assert.ok(outcome.state === 'thawed' && !outcome.heldThroughout)
    assert.match(outcome.statement, /held: no/)
    assert.equal(existsSync(join(folder, 'begun')), false)
  })

  test('that do not thaw are unknown, in time', async () => {
    const ways = [['exit 1', /ended with 1/], ['exec sleep 1000', /its limit is 300 ms/]] as const
    for (const [post, said] of ways) {
      await using it = await prepare(HOLD, post, { thawMs: 300 })
      const attempt = it.beginFreeze()
      await attempt.held
      const outcome = await attempt.thaw()
      assert.ok(outcome.state === 'unknown')
      assert.match(outcome.detail, said)
      rmSync(join(folder, 'held'), { force: true })
    }
  })

  test('may flood: a bounded beginning is kept', async () => {
    await using it = await prepare('echo "held: it"; yes | head -c 3000000', 'true')
    const { statement } = await it.beginFreeze().held
    assert.ok(statement.length < 5000)
  })

  test('may begin what lives on, which is left alone', async () => {
    await using it = await prepare(HOLD, 'sleep 1000 & echo $! >child; echo "held: so far"')
    const attempt = it.beginFreeze()
    await attempt.held
    const outcome = await attempt.thaw()
    assert.ok(outcome.state === 'thawed' && outcome.heldThroughout)
    const child = Number(readFileSync(join(folder, 'child'), 'utf8'))
    assert.equal(isRunning(child), true)
    process.kill(child)
  })

  for (const signal of ['SIGKILL', 'SIGSTOP'] as const) {
    test(`are not left between when the agent gets ${signal}`, async () => {
      const agent = await agentWith(HOLD, RELEASE, 'frozen')
      assert.equal(existsSync(join(folder, 'held')), true)
      agent.kill(signal)
      while (existsSync(join(folder, 'held'))) await systemClock.sleep(5, never)
      agent.kill('SIGKILL')
    })
  }

  test('follow each other although the agent is killed within the first', async () => {
    const agent = await agentWith(
      'touch begun; while [ ! -e go ]; do sleep 0.01; done; touch held ended; echo loud',
      'test -e ended || touch disorder; echo loud; rm -f held; touch thawed', 'asked')
    while (!existsSync(join(folder, 'begun'))) await systemClock.sleep(5, never)
    agent.kill('SIGKILL')
    await once(agent, 'exit')
    writeFileSync(join(folder, 'go'), '')
    while (!existsSync(join(folder, 'thawed'))) await systemClock.sleep(5, never)
    assert.deepEqual(['disorder', 'held'].filter((it) => existsSync(join(folder, it))), [],
      readdirSync(folder).join())
  })

  test('the second is run again when the agent was killed while it ran', async () => {
    const agent = await agentWith(HOLD,
      'touch second; while [ ! -e go ]; do sleep 0.01; done; echo loud || exit 1; rm held', 'thaw')
    while (!existsSync(join(folder, 'second'))) await systemClock.sleep(5, never)
    agent.kill('SIGKILL')
    await once(agent, 'exit')
    writeFileSync(join(folder, 'go'), '')
    while (existsSync(join(folder, 'held'))) await systemClock.sleep(5, never)
  })

  for (const at of ['first', 'hold'] as const) {
    test(`are not left between when their shell is killed in the ${at}`, async () => {
      const slowly = at === 'first' ? '; exec sleep 1000' : ''
      await using it = await prepare(
        `ps -o ppid= -p $(ps -o ppid= -p $$) >shell.new; mv shell.new shell; ${HOLD}${slowly}`,
        RELEASE)
      const attempt = it.beginFreeze()
      attempt.held.catch(() => {})
      while (!existsSync(join(folder, 'held'))) await systemClock.sleep(5, never)
      if (at === 'hold') await attempt.held
      process.kill(Number(readFileSync(join(folder, 'shell'), 'utf8')), 'SIGKILL')
      if (at === 'first') await assert.rejects(attempt.held, /shell of the script was killed/)
      const outcome = await attempt.thaw()
      assert.ok(outcome.state === 'thawed' && !outcome.heldThroughout)
      assert.match(outcome.statement, /its shell was killed/)
      assert.equal(existsSync(join(folder, 'held')), false)
    })
  }

  test('outlive a service manager that asks their shell to end', async () => {
    await using it = await prepare(
      `ps -o ppid= -p $(ps -o ppid= -p $$) >shell; ${HOLD}`, RELEASE)
    const attempt = it.beginFreeze()
    await attempt.held
    process.kill(Number(readFileSync(join(folder, 'shell'), 'utf8')), 'SIGTERM')
    const outcome = await attempt.thaw()
    assert.ok(outcome.state === 'thawed' && outcome.heldThroughout)
  })

  test('a second that was run unasked makes the hold a lost one', async () => {
    await using it = await prepare(HOLD, `${RELEASE}; echo "held: so it says"`,
      { freezeMs: 2000, holdMs: 1, thawMs: 2000 })
    const attempt = it.beginFreeze()
    await attempt.held
    while (existsSync(join(folder, 'held'))) await systemClock.sleep(5, never)
    const outcome = await attempt.thaw()
    assert.ok(outcome.state === 'thawed' && !outcome.heldThroughout)
    assert.match(outcome.statement, /before it was asked/)
  })

  test('must be nobody else\'s to change', async () => {
    for (const [path, mode] of [['pre', 0o775], ['post', 0o757]] as const) {
      const writer = writerOf(HOLD, RELEASE)
      chmodSync(join(folder, path), mode)
      const [application] = await writer.discover(never)
      assert.ok(application !== undefined)
      await assert.rejects(writer.prepare(application, never), { code: 'writer-failed' })
    }
    chmodSync(folder, 0o777)
    await assert.rejects(prepare(HOLD, RELEASE), { code: 'writer-failed' })
    chmodSync(folder, 0o700)
    await (await prepare(HOLD, RELEASE)).abort(never)
  })

  test('must be there', async () => {
    const writer = writerOf(HOLD, RELEASE)
    rmSync(join(folder, 'post'))
    const [application] = await writer.discover(never)
    assert.ok(application !== undefined)
    await assert.rejects(writer.prepare(application, never), { code: 'writer-failed' })
  })
})

function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

/** A process that holds it as the agent does, once it is that far. */
async function agentWith(
  pre: string, post: string, until: 'asked' | 'frozen' | 'thaw'): Promise<ChildProcess> {
  writerOf(pre, post)
  const url = (path: string): string => new URL(path, import.meta.url).href
  const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', `
    import { scriptWriter } from '${url('./writer.ts')}'
    import { systemClock } from '${url('../../base/clock.ts')}'
    import { systemRandom } from '${url('../../base/random.ts')}'
    const never = new AbortController().signal
    const it = scriptWriter({ clock: systemClock, random: systemRandom, scripts: [{
      name: 'it', data: ['${folder}'], limits: { freezeMs: 60000, holdMs: 1, thawMs: 60000 },
      preFreeze: ['${folder}/pre', '${folder}'], postThaw: ['${folder}/post', '${folder}'] }] })
    const [application] = await it.discover(never)
    const prepared = await it.prepare(application, never)
    const attempt = prepared.beginFreeze()
    if ('${until}' !== 'asked') await attempt.held
    if ('${until}' === 'thaw') attempt.thaw()
    console.log('there')
    setInterval(() => {}, 1000)
  `], { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(child.stdout, 'data')
  return child
}
