/** The requestor's end of hooks: asks before the hold, reads after it, and believes little. */

import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { systemClock } from '../base/clock.ts'
import { Fault } from '../base/fault.ts'
import type {
  ApplicationHost, GuestExit, GuestPrograms, PreparedWriter,
} from '../consistency/mod.ts'
import { connectHookHost, encodeAnnounced, TOKEN_FILE, type HookStanding } from './mod.ts'

const never = new AbortController().signal
const NONCE = '0123456789abcdef0123456789abcdef'
const REDIS = { name: 'redis', kind: 'protected', recovery: 'self', data: {
  state: 'located', places: [{ path: '/srv', mountpoint: '/srv', type: 'ext4' }] } } as const
const PREPARED = {
  contract: { kind: 'held' }, limits: { freezeMs: 1000, holdMs: 5000, thawMs: 1000 } } as const

const said = (value: unknown): GuestExit => ({ code: 0, stdout: JSON.stringify(value), stderr: '' })

class Machine implements GuestPrograms {
  readonly journal: string[] = []
  hooks: readonly HookStanding[] = [{ tool: 'qemu-ga', state: 'on' }]
  readonly answers = new Map<string, () => GuestExit>([
    ['discover', () => said({ agent: 'agent 1', hooks: this.hooks, applications: [REDIS] })],
    ['announce', () => said(encodeAnnounced(new Map([['redis', PREPARED]])))],
    ['forget', () => said(null)],
  ])
  token = ''

  async run(program: string, args: readonly string[]): Promise<GuestExit> {
    this.journal.push(args.join(' '))
    assert.equal(program, '/usr/local/bin/stillpoint-agent')
    return this.answers.get(args[1] ?? '')?.() ?? assert.fail(args.join(' '))
  }

  async read(path: string): Promise<Uint8Array> {
    this.journal.push('read')
    assert.equal(path, TOKEN_FILE)
    if (this.token === '') throw new Fault('agent-refused', 'No such file or directory')
    return Buffer.from(this.token)
  }

  connect(): Promise<ApplicationHost> {
    return connectHookHost(
      { programs: this, nonce: NONCE, tool: 'qemu-ga', clock: systemClock }, never)
  }

  leave(state: string, nonce: string | null = NONCE): void {
    this.token = JSON.stringify({ version: 1, nonce, bootId: 'b', count: 1, state,
      applications: [{ name: 'redis', held: { statement: 's', positions: null }, thawed: null,
        heldMs: null }] })
  }
}

async function prepared(host: ApplicationHost): Promise<PreparedWriter> {
  const [application] = await host.discover(never)
  assert.ok(application !== undefined)
  return await host.prepare(application, never) ?? assert.fail('there is no writer')
}

suite('a host behind hooks', () => {
  test('announces itself once, and reads the token of its own freeze', async () => {
    const machine = new Machine()
    {
      await using host = await machine.connect()
      assert.equal(host.agent, 'agent 1, by the hooks of qemu-ga')
      const writer = await prepared(host)
      await prepared(host)
      assert.deepEqual([writer.contract, writer.limits], [PREPARED.contract, PREPARED.limits])
      machine.leave('thawed')
      const report = await host.hooks?.report(never)
      assert.ok(report !== undefined && 'state' in report && report.state === 'thawed')
      await writer[Symbol.asyncDispose]()
    }
    assert.deepEqual(machine.journal, ['hook discover', `hook announce ${NONCE}`, 'read'])
  })

  for (const [what, leave] of [
    ['no token', () => {}],
    ['a token that was cut', (it: Machine) => { it.leave('thawed'); it.token = it.token.slice(9) }],
    ['a token of another', (it: Machine) => it.leave('thawed', 'f'.repeat(32))],
    ['a token of a freeze without its thaw', (it: Machine) => it.leave('frozen')],
  ] as const) {
    test(`behind ${what} what may still be held is released at once`, async () => {
      const machine = new Machine()
      await using host = await machine.connect()
      await prepared(host)
      leave(machine)
      const report = await host.hooks?.report(never)
      assert.ok(report !== undefined)
      if ('state' in report) assert.equal(report.state, 'frozen')
      else assert.match(report.missing, /token/)
      assert.equal(machine.journal.at(-1), `hook forget ${NONCE}`)
    })
  }

  test('is released by whoever gives it up, once', async () => {
    const machine = new Machine()
    const host = await machine.connect()
    const writer = await prepared(host)
    await writer.abort(never)
    await writer[Symbol.asyncDispose]()
    await host[Symbol.asyncDispose]()
    assert.deepEqual(machine.journal.slice(2), [`hook forget ${NONCE}`])
    const other = new Machine()
    await (await other.connect())[Symbol.asyncDispose]()
    assert.deepEqual(other.journal, ['hook discover']) // nothing was prepared
  })

  test('is never frozen by us', async () => {
    await using host = await new Machine().connect()
    const attempt = (await prepared(host)).beginFreeze()
    await assert.rejects(attempt.held, { code: 'unsupported' })
    assert.equal((await attempt.thaw()).state, 'unknown')
  })

  test('says why a freeze would not reach it', async () => {
    const reasons = {
      'on': undefined, 'ignored': 'qemu-ga runs without -F: hooks are ignored',
      'restart': 'qemu-ga runs no hooks until: systemctl restart qemu-guest-agent',
      'not-installed': 'qemu-ga does not run the hook of Stillpoint' } as const
    for (const [state, reason] of Object.entries(reasons)) {
      const machine = new Machine()
      machine.hooks = [{ tool: 'vmware-tools', state: 'not-installed' },
        { tool: 'qemu-ga', state: state as HookStanding['state'] }]
      await using host = await machine.connect()
      assert.equal(host.hooks?.ignored, reason)
    }
    const unknown = new Machine()
    unknown.hooks = []
    await using host = await unknown.connect()
    assert.equal(host.hooks?.ignored, undefined) // the token will tell
  })

  test('hands on what cannot be prepared, and who has no writer', async () => {
    const machine = new Machine()
    machine.answers.set('announce', () => said(encodeAnnounced(new Map(
      [['redis', new Fault('writer-failed', 'no password fits')]]))))
    await using host = await machine.connect()
    await assert.rejects(prepared(host), { code: 'writer-failed', message: 'no password fits' })
    machine.answers.set('announce', () => said([{ name: 'redis', prepared: null }]))
    await using other = await machine.connect()
    const [redis] = await other.discover(never)
    assert.equal(await other.prepare(redis ?? assert.fail('none'), never), undefined)
    machine.answers.set('announce', () => said([]))
    await using changed = await machine.connect()
    await assert.rejects(prepared(changed), /not found any more/)
  })

  const nonsense: readonly (readonly [string, GuestExit, string])[] = [
    ['an agent that does not run', { code: 1, stdout: '', stderr: 'error: gone\u001b[2J\nx' },
      'agent-unreachable'],
    ['a client that was killed', { code: null, stdout: '', stderr: '' }, 'agent-unreachable'],
    ['silence', { code: 0, stdout: '', stderr: '' }, 'agent-protocol'],
    ['half an answer', { code: 0, stdout: '{"agent":"a"', stderr: '' }, 'agent-protocol'],
    ['another shape', said({ agent: 'a', hooks: 'on', applications: [] }), 'agent-protocol'],
    ['an unknown standing', said({ agent: 'a', applications: [],
      hooks: [{ tool: 'qemu-ga', state: 'perhaps' }] }), 'agent-protocol'],
    ['too much', { code: 0, stdout: ' '.repeat(1024 * 1024 + 1), stderr: '' }, 'agent-protocol'],
  ]
  for (const [what, exit, code] of nonsense) {
    test(`${what} is a fault`, async () => {
      const machine = new Machine()
      machine.answers.set('discover', () => exit)
      await assert.rejects(machine.connect(), (error) => {
        assert.ok(error instanceof Fault)
        assert.equal(error.code, code)
        assert.equal(error.message.includes('\u001b'), false)
        return true
      })
    })
  }
})
