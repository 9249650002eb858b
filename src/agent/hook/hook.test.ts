/** The hook client and the resident agent as processes: who holds what, and what ends it. */

import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync, existsSync, readFileSync, rmSync, statSync, writeFileSync,
} from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, beforeEach, suite, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { systemClock } from '../../base/clock.ts'
import { connectHookHost, parseToken, type HookToken } from '../../channel/mod.ts'
import type { GuestPrograms } from '../../consistency/mod.ts'

const MAIN = fileURLToPath(new URL('../main.ts', import.meta.url))
const DESK = fileURLToPath(new URL('../testing/desk-process.ts', import.meta.url))
const NONCE = '0123456789abcdef0123456789abcdef'
const never = new AbortController().signal

let folder = ''
const at = (name: string): string => join(folder, name)
const isHeld = (): boolean => existsSync(at('held'))
const token = (): HookToken => parseToken(readFileSync(at('var/lib/stillpoint/token.json')))

before(async () => { folder = await mkdtemp(join(tmpdir(), 'sp-')) })
after(() => rm(folder, { recursive: true }))

function script(name: string, text: string): void {
  writeFileSync(at(name), `#!/bin/sh\n${text}\n`)
  chmodSync(at(name), 0o755)
}

async function run(...args: readonly string[]): Promise<{
  readonly code: number | null; readonly said: string; readonly warned: string }> {
  const child = spawn(process.execPath, [MAIN, 'hook', ...args, '--root', folder],
    { stdio: ['ignore', 'pipe', 'pipe'] })
  const texts = { said: '', warned: '' }
  child.stdout.on('data', (part: Buffer) => { texts.said += part.toString() })
  child.stderr.on('data', (part: Buffer) => { texts.warned += part.toString() })
  await once(child, 'close')
  return { code: child.exitCode, ...texts }
}

/** As qemu-ga runs programs and reads files in a machine. */
const programs: GuestPrograms = {
  run: async (program, args) => {
    assert.equal(program, '/usr/local/bin/stillpoint-agent')
    assert.equal(args[0], 'hook')
    const { code, said, warned } = await run(...args.slice(1))
    return { code, stdout: said, stderr: warned }
  },
  read: async (path) => readFileSync(at(path)),
}

suite('hooks', () => {
  let agent: ChildProcess
  beforeEach(async () => {
    script('pre', `touch ${at('held')}; echo "held: by a file"`)
    script('post', `test -e ${at('held')} && echo "held: until now"; rm -f ${at('held')}`)
    agent = spawn(process.execPath, [DESK, folder, at('pre'), at('post')],
      { stdio: ['ignore', 'inherit', 'inherit'] })
    while (!existsSync(at('run/stillpoint/agent.sock'))) await systemClock.sleep(20, never)
  })
  afterEach(async () => {
    if (agent.exitCode === null && agent.signalCode === null) {
      const ended = once(agent, 'exit')
      agent.kill('SIGKILL')
      await ended
    }
    for (const name of ['run', 'var', 'held', 'go']) {
      rmSync(at(name), { force: true, recursive: true })
    }
  })

  test('hold between freeze and thaw, and leave a token that says so', async () => {
    assert.equal(statSync(at('run/stillpoint/agent.sock')).mode & 0o077, 0)
    const froze = await run('freeze')
    assert.deepEqual([froze.code, froze.said], [0, 'held: script it\n'], froze.warned)
    assert.equal(isHeld(), true)
    assert.deepEqual([token().state, token().nonce, token().count], ['frozen', null, 1])
    assert.equal(statSync(at('var/lib/stillpoint/token.json')).mode & 0o077, 0)
    const thawed = await run('thaw')
    assert.deepEqual([thawed.code, thawed.said], [0, 'released: script it\n'], thawed.warned)
    assert.equal(isHeld(), false)
    const { state, applications } = token()
    assert.equal(state, 'thawed')
    const { thawed: outcome, heldMs } = applications.get('script it') ?? assert.fail('not told')
    assert.ok(outcome?.state === 'thawed' && outcome.heldThroughout)
    assert.ok(heldMs !== null && heldMs > 0)
  })

  test('announced, the requestor reads the token of its own freeze', async () => {
    await using host = await connectHookHost(
      { programs, nonce: NONCE, tool: 'qemu-ga', clock: systemClock }, never)
    assert.match(host.agent, /^stillpoint-agent .*, by the hooks of qemu-ga$/)
    const application = (await host.discover(never)).find(({ name }) => name === 'script it')
    const writer = await host.prepare(application ?? assert.fail('not found'), never)
    assert.deepEqual(writer?.contract, { kind: 'held' })
    assert.equal(isHeld(), false)
    assert.equal((await run('freeze')).code, 0)
    assert.equal(isHeld(), true)
    await run('thaw')
    const report = await host.hooks?.report(never)
    assert.ok(report !== undefined && 'state' in report, JSON.stringify(report))
    assert.equal(report.state, 'thawed')
    assert.deepEqual([...report.applications.keys()], ['script it'])
    // Another freeze, of anybody: the token is that one's.
    await run('freeze')
    await run('thaw')
    assert.deepEqual(await host.hooks?.report(never),
      { missing: 'the token in the machine is of a freeze that nobody had announced' })
  })

  test('a freeze that is not held fails, holds nothing, and its token says so', async () => {
    script('pre', 'touch held; echo no; exit 4')
    const { code, warned } = await run('freeze')
    assert.equal(code, 1)
    assert.match(warned, /script it did not hold still: the pre-freeze command ended with 4: no/)
    assert.equal(isHeld(), false)
    assert.equal(token().state, 'failed')
    const { held } = token().applications.get('script it') ?? assert.fail('not told')
    assert.ok('message' in held)
  })

  for (const how of ['SIGKILL', 'SIGTERM'] as const) {
    test(`an agent that ends by ${how} in the hold lets go; the thaw fails nothing`, async () => {
      assert.equal((await run('freeze')).code, 0)
      agent.kill(how)
      while (isHeld()) await systemClock.sleep(20, never)
      const { code, warned } = await run('thaw')
      assert.equal(code, 0)
      assert.match(warned, /^warning: not released here: .*agent/)
      assert.equal(token().state, 'frozen')
      const again = await run('freeze')
      assert.deepEqual([again.code, again.said], [1, ''])
    })
  }

  test('a client that goes away in the freeze is a freeze that failed', async () => {
    script('pre', `touch ${at('held')}; echo "held: by a file"
while test ! -e ${at('go')}; do sleep 0.1; done`)
    const client = connect(at('run/stillpoint/agent.sock'))
    client.write('{"do":"freeze"}\n')
    while (!isHeld()) await systemClock.sleep(20, never)
    client.destroy()
    writeFileSync(at('go'), '')
    while (!existsSync(at('var/lib/stillpoint/token.json'))) await systemClock.sleep(20, never)
    assert.equal(token().state, 'failed')
    assert.equal(isHeld(), false)
  })

  test('nonsense on the socket is answered and changes nothing', async () => {
    for (const text of ['', '{}', '{"do":"announce","nonce":"x"}', 'x'.repeat(5000), '[[[[1]]]]']) {
      const client = connect(at('run/stillpoint/agent.sock'))
      let said = ''
      client.on('data', (part: Buffer) => { said += part.toString() })
      client.write(`${text} \n`)
      await once(client, 'close')
      assert.match(said, /^\{"fault":\{"code":"agent-protocol"/)
    }
    assert.equal((await run('freeze')).code, 0)
    assert.equal((await run('thaw')).code, 0)
    assert.equal((await run('dance')).code, 2)
  })
})
