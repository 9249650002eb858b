/** Programs and files in a guest, by an agent that speaks as qemu-ga does. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { systemClock } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import type { GuestAccess } from '../../catalog/mod.ts'
import { FakeGuestAgent, temporaryFolder } from '../testing/mod.ts'
import { openGuestAccess } from './guest-access.ts'

const signal = new AbortController().signal
const COMMANDS = [
  'guest-exec', 'guest-exec-status', 'guest-file-open', 'guest-file-write', 'guest-file-close']

/** An agent whose programs need two looks and print their arguments; files are kept in `files`. */
function furnish(agent: FakeGuestAgent): Map<string, Buffer> {
  const files = new Map<string, Buffer>()
  const open = new Map<unknown, string>()
  let looks = 0
  let at = 0
  let said = ''
  const { commands } = agent.behaviour
  commands.set('guest-exec', ({ path, arg }) => {
    agent.journal.push(`exec ${String(path)}`)
    said = (arg as readonly string[]).join(' ')
    return { pid: 42 }
  })
  commands.set('guest-exec-status', ({ pid }) => {
    assert.equal(pid, 42)
    if (++looks % 2 === 1) return { exited: false }
    return { exited: true, exitcode: 3, 'out-data': Buffer.from(said).toString('base64') }
  })
  commands.set('guest-file-open', ({ path, mode }) => {
    if (path === '/full') throw new Error('No space left on device')
    if (mode === 'w') files.set(String(path), Buffer.alloc(0))
    else if (!files.has(String(path))) throw new Error('No such file or directory')
    at = 0
    open.set(1000, String(path))
    return 1000
  })
  commands.set('guest-file-write', ({ handle, 'buf-b64': text }) => {
    const path = open.get(handle) ?? ''
    // Half of it, as a file system that is nearly full might take.
    const bytes = Buffer.from(String(text), 'base64')
    const part = bytes.subarray(0, Math.ceil(bytes.length / 2))
    files.set(path, Buffer.concat([files.get(path) ?? Buffer.alloc(0), part]))
    return { count: part.length, eof: false }
  })
  commands.set('guest-file-read', ({ handle, count }) => {
    const bytes = files.get(open.get(handle) ?? '') ?? Buffer.alloc(0)
    // Less than was asked for; the end shows only where nothing is left.
    const part = bytes.subarray(at, at + Math.min(Number(count), 10_000))
    at += part.length
    return { count: part.length, 'buf-b64': part.toString('base64'), eof: part.length === 0 }
  })
  commands.set('guest-file-close', ({ handle }) => {
    open.delete(handle)
    agent.journal.push('close')
    return {}
  })
  return files
}

async function withGuest(
  run: (guest: GuestAccess, agent: FakeGuestAgent, files: Map<string, Buffer>) => Promise<void>,
): Promise<void> {
  await using folder = await temporaryFolder()
  await using agent = await FakeGuestAgent.start(join(folder.path, 'qga'))
  const files = furnish(agent)
  await using guest = await openGuestAccess(agent.path, systemClock, signal)
  await run(guest, agent, files)
}

suite('a guest by qemu-ga', () => {
  test('runs a program to its end and hands on what it said', () => withGuest(async (guest) => {
    assert.deepEqual([guest.agent, guest.forbidden], ['qemu-ga 7.2.22', []])
    assert.deepEqual(await guest.run('/bin/echo', ['a', 'b c'], 10_000, signal),
      { code: 3, stdout: 'a b c', stderr: '' })
  }))

  test('writes a file piece by piece, also where only part of a piece is taken', () =>
    withGuest(async (guest, agent, files) => {
      const bytes = Buffer.alloc(200_000, 'stillpoint')
      const seen: number[] = []
      const content = async function* (): AsyncGenerator<Uint8Array> { yield bytes }
      await guest.write('/new', content(), (written) => seen.push(written), signal)
      assert.deepEqual(files.get('/new'), bytes)
      assert.equal(seen.at(-1), bytes.length)
      assert.equal(agent.journal.at(-1), 'close')
    }))

  test('closes the file when its content ends early, and says what the guest refused', () =>
    withGuest(async (guest, agent) => {
      const broken = async function* (): AsyncGenerator<Uint8Array> {
        yield Buffer.from('half')
        throw new Fault('io-error', 'gone')
      }
      await assert.rejects(guest.write('/new', broken(), () => {}, signal), { code: 'io-error' })
      assert.equal(agent.journal.at(-1), 'close')
      await assert.rejects(guest.write('/full', broken(), () => {}, signal),
        { code: 'agent-refused', message: /No space left/ })
    }))

  test('reads a file to its end, and none that has no end', () =>
    withGuest(async (guest, agent, files) => {
      const bytes = Buffer.alloc(100_000, 'stillpoint')
      files.set('/there', bytes)
      assert.deepEqual(await guest.read('/there', 100_000, signal), bytes)
      assert.equal(agent.journal.at(-1), 'close')
      await assert.rejects(guest.read('/there', 99_999, signal), { code: 'agent-protocol' })
      assert.equal(agent.journal.filter((it) => it === 'close').length, 2)
      await assert.rejects(guest.read('/none', 9, signal), { code: 'agent-refused' })
      for (const answer of [{ 'buf-b64': '', eof: false }, { 'buf-b64': 7, eof: true }, 7,
        { 'buf-b64': Buffer.alloc(60_000).toString('base64'), eof: true }]) {
        agent.behaviour.commands.set('guest-file-read', () => answer)
        await assert.rejects(guest.read('/there', 100_000, signal), { code: 'agent-protocol' })
      }
    }))

  test('takes nothing for an answer that is none', () => withGuest(async (guest, agent) => {
    for (const status of [7, { exited: true, exitcode: 'x' }, { exited: true, 'out-data': 1 }]) {
      agent.behaviour.commands.set('guest-exec-status', () => status)
      await assert.rejects(guest.run('/bin/true', [], 10_000, signal), { code: 'agent-protocol' })
    }
    agent.behaviour.commands.set('guest-file-write', () => ({ count: 0 }))
    const content = async function* (): AsyncGenerator<Uint8Array> { yield Buffer.from('x') }
    await assert.rejects(guest.write('/x', content(), () => {}, signal), { code: 'agent-protocol' })
  }))

  test('a program that does not end is given up', () => withGuest(async (guest, agent) => {
    agent.behaviour.commands.set('guest-exec-status', () => ({ exited: false }))
    await assert.rejects(guest.run('/bin/sleep', ['9'], 50, signal), { code: 'timed-out' })
  }))

  test('says what the agent does not allow', async () => {
    await using folder = await temporaryFolder()
    await using agent = await FakeGuestAgent.start(join(folder.path, 'qga'))
    furnish(agent)
    for (const name of COMMANDS.slice(0, 2)) agent.behaviour.disabled.add(name)
    await using guest = await openGuestAccess(agent.path, systemClock, signal)
    assert.deepEqual(guest.forbidden, ['guest-exec', 'guest-exec-status'])
  })

  test('leaves a frozen guest alone', async () => {
    await using folder = await temporaryFolder()
    await using agent = await FakeGuestAgent.start(join(folder.path, 'qga'))
    furnish(agent)
    agent.freezeByOthers(2)
    await assert.rejects(openGuestAccess(agent.path, systemClock, signal), { code: 'machine-busy' })
    await agent.until(() => agent.clientCount === 0)
    assert.equal(agent.status, 'frozen')
  })
})
