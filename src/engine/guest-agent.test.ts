/** The agent brought into a machine: this host plays the machine, a shell script the agent. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, suite, test } from 'node:test'
import { Fault } from '../base/fault.ts'
import type { GuestAccess } from '../catalog/mod.ts'
import { bringAgent } from './guest-agent.ts'

const never = new AbortController().signal

/** Runs programs here; every call can be made to fail, before or after it has had its effect. */
class LocalGuest implements GuestAccess {
  readonly agent = 'this host'
  readonly forbidden = []
  readonly calls: string[] = []
  writtenBytes = 0
  fails: { readonly call: number; readonly when: 'before' | 'after' } | undefined
  /** Changes what is written. */
  spoil = (bytes: Uint8Array): Uint8Array => bytes
  path = process.env['PATH'] ?? ''

  run(program: string, args: readonly string[]): ReturnType<GuestAccess['run']> {
    return this.#call(`${program} ${args.join(' ')}`, async () => {
      const { status, stdout, stderr } = spawnSync(program, args, {
        encoding: 'utf8', env: { PATH: this.path } })
      return { code: status, stdout, stderr }
    })
  }

  read(): Promise<Uint8Array> {
    return Promise.reject(new Error('nothing is read'))
  }

  async write(...[path, content, onWritten]: Parameters<GuestAccess['write']>): Promise<void> {
    await this.#call(`write ${path}`, async () => {
      await using file = await open(path, 'w')
      for await (const bytes of content) {
        await file.writeFile(this.spoil(bytes))
        onWritten(this.writtenBytes += bytes.length)
      }
    })
  }

  async #call<T>(what: string, run: () => Promise<T>): Promise<T> {
    this.calls.push(what)
    const failsWhen = this.fails?.call === this.calls.length ? this.fails.when : undefined
    if (failsWhen === 'before') throw new Fault('agent-unreachable', 'lost')
    const result = await run()
    if (failsWhen === 'after') throw new Fault('agent-unreachable', 'lost')
    return result
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

let root = ''
let executable = ''
const at = (name: string): string => join(root, name)
const installed = (): string => at('usr/local/bin/stillpoint-agent')
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'sp-'))
  executable = at('agent')
  // Installs itself as the agent does, in one step, and says how often it did.
  writeFileSync(executable, `#!/bin/sh
# ${'x'.repeat(300_000)}
test "$1" = install || exit 9
new=${installed()}.new
test "$0" = ${installed()} || { cp "$0" $new && mv $new ${installed()}; }
echo once >>${root}/installs
echo "runs as process 7"
`, { mode: 0o755 })
})
afterEach(() => rm(root, { recursive: true }))

function bring(guest: LocalGuest): ReturnType<typeof bringAgent> {
  return bringAgent(guest, { executable, onCopied: () => {} }, root, never)
}

function assertWhole(): void {
  assert.deepEqual(readFileSync(installed()), readFileSync(executable))
  assert.deepEqual(readdirSync(at('usr/local/bin')), ['stillpoint-agent'])
}

suite('the agent, brought into a machine', () => {
  test('is copied compressed, checked there, and installs itself', async () => {
    const guest = new LocalGuest()
    const progress: number[] = []
    const outcome = await bringAgent(guest, { executable,
      onCopied: ({ doneBytes }) => progress.push(doneBytes) }, root, never)
    assert.deepEqual(outcome,
      { isCopied: true, said: ['runs as process 7'], isComplete: true })
    assertWhole()
    assert.equal(progress.at(-1), readFileSync(executable).length)
    assert.ok(guest.writtenBytes < 5_000, `${guest.writtenBytes} bytes`)
  })

  test('is not copied again, and installs itself again', async () => {
    await bring(new LocalGuest())
    const guest = new LocalGuest()
    assert.equal((await bring(guest)).isCopied, false)
    assert.equal(guest.calls.length, 3)
    assert.equal(readFileSync(at('installs'), 'utf8'), 'once\nonce\n')
  })

  test('replaces another one', async () => {
    await bring(new LocalGuest())
    writeFileSync(installed(), 'an older one')
    assert.equal((await bring(new LocalGuest())).isCopied, true)
    assertWhole()
  })

  test('is never run if it does not arrive as it was sent', async () => {
    const guest = new LocalGuest()
    guest.path = at('bin')
    spawnSync('mkdir', [guest.path])
    for (const program of ['uname', 'sha256sum', 'mkdir', 'dirname', 'rm', 'chmod', 'sh', 'cp']) {
      spawnSync('ln', ['-s', `/bin/${program}`, join(guest.path, program)])
    }
    guest.spoil = (bytes) => bytes.map((byte, index) => index === 1000 ? byte ^ 1 : byte)
    await assert.rejects(bring(guest), { code: 'program-failed', message: /not the same/ })
    assert.equal(existsSync(at('installs')), false)
    assert.deepEqual(readdirSync(at('usr/local/bin')), [])
    // The same guest has no gzip; what is sent as it is arrives too.
    guest.spoil = (bytes) => bytes
    spawnSync('ln', ['-s', '/bin/mv', join(guest.path, 'mv')])
    await bring(guest)
    assertWhole()
  })

  test('is not sent where it cannot be checked', async () => {
    const guest = new LocalGuest()
    guest.path = '/nonexistent'
    await assert.rejects(bring(guest), { code: 'unsupported' })
    assert.equal(guest.writtenBytes, 0)
  })

  test('lost at any call, before or after its effect, leaves nothing half; the next run is whole',
    async () => {
      const counter = new LocalGuest()
      await bring(counter)
      assert.ok(counter.calls.length >= 8)
      for (let call = 1; call <= counter.calls.length; call++) {
        for (const when of ['before', 'after'] as const) {
          await rm(at('usr'), { recursive: true, force: true })
          const guest = new LocalGuest()
          guest.fails = { call, when }
          // The last one is the clean-up, whose failure is no failure of the run.
          if (call === counter.calls.length) await bring(guest)
          else await assert.rejects(bring(guest), { code: 'agent-unreachable' }, `call ${call}`)
          if (existsSync(installed())) {
            assert.deepEqual(readFileSync(installed()), readFileSync(executable))
          }
          await bring(new LocalGuest())
          assertWhole()
        }
      }
    })
})
