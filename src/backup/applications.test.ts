/** Backups that ask applications: prepared, held, told how it ended, never left alone. */

import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { systemClock as clock } from '../base/clock.ts'
import { Fault } from '../base/fault.ts'
import type { ApplicationHost } from '../consistency/mod.ts'
import { FakeFreezer, FakeWriter, type FakeWriterOptions } from '../consistency/testing/mod.ts'
import { backupBench, signal, type BackupBench } from './testing/backup-bench.ts'

/** File systems right on the disks, as noise there is explained by them. */
const MOUNTS = [
  { mountpoint: '/', type: 'ext4', device: 'vda', diskIds: ['vda'] },
  { mountpoint: '/srv', type: 'btrfs', device: 'vdb', diskIds: ['vdb'] },
]

interface Asked {
  readonly host: ApplicationHost
  readonly writers: readonly FakeWriter[]
}

function asked(...options: readonly (Partial<FakeWriterOptions> & { readonly name: string })[]):
Asked {
  const writers = options.map(({ name, ...rest }) => new FakeWriter(name, { clock, ...rest }))
  return { writers, host: {
    agent: 'test-agent 1',
    discover: async (at) => (await Promise.all(writers.map((it) => it.discover(at)))).flat(),
    prepare: async (application, at) =>
      writers.find(({ name }) => name === application.name)?.prepare(application, at),
    [Symbol.asyncDispose]: async () => {},
  } }
}

function benchWithGuest(): Promise<BackupBench> {
  return backupBench({ heldBy: {
    kind: 'requestor', freezer: new FakeFreezer({ clock, mounts: MOUNTS }) } })
}

suite('a backup that asks applications', () => {
  test('holds them across the instant and tells them of the point', async () => {
    await using bench = await benchWithGuest()
    const { host, writers } = asked({ name: 'redis' }, { name: 'postgres', contract: {
      kind: 'recoverable', durability: { state: 'safe', settings: 'fsync=on' } } })
    const { evidence, result, stored } = await bench.backup({ applications: host })
    assert.ok('snapshotId' in stored)
    assert.deepEqual(result.applications.map(({ name, contract, reason }) =>
      [name, contract, reason?.code]), [
      ['redis', 'held', undefined], ['postgres', 'recoverable', undefined]])
    assert.deepEqual(writers.map(({ told, isFrozen }) => [told, isFrozen]),
      [['complete', false], ['complete', false]])
    const { discovery } = evidence.applications
    assert.ok(discovery.state === 'done')
    assert.deepEqual([discovery.by, discovery.applications[0]?.data],
      ['test-agent 1', { state: 'located', diskIds: ['vdb'], places: [
        { path: '/srv/redis', mountpoint: '/srv' }] }])
  })

  test('freezes what is locked last, and thaws it first', async () => {
    await using bench = await benchWithGuest()
    const journal: string[] = []
    const { host } = asked({ name: 'redis', journal }, { name: 'postgres', journal, contract: {
      kind: 'recoverable', durability: { state: 'safe', settings: 'fsync=on' } } })
    await bench.backup({ applications: host })
    assert.deepEqual(journal, ['freeze postgres', 'freeze redis', 'thaw redis', 'thaw postgres',
      'complete redis', 'complete postgres'])
  })

  test('expects of its first run what the writers can do', async () => {
    await using bench = await benchWithGuest()
    const { host, writers } = asked({ name: 'redis', failsToFreeze: true })
    const { evidence, judgement } = await bench.backup({
      applications: host, settings: { require: undefined, onWeaker: undefined } })
    assert.deepEqual([evidence.policy.require, evidence.policy.origin, judgement.kind],
      ['application', 'predicted', 'weaker'])
    assert.equal(writers[0]?.isFrozen, false)
  })

  test('that is given up tells them so', async () => {
    await using bench = await benchWithGuest()
    const { host, writers } = asked({ name: 'redis' })
    const controller = new AbortController()
    await assert.rejects(bench.backup({ applications: host, onEvent: (event) => {
      if (event.kind === 'phase' && event.phase === 'reading') {
        controller.abort(new Fault('interrupted', 'by hand'))
      }
    } }, controller.signal), { code: 'interrupted' })
    assert.deepEqual(writers.map(({ told, isFrozen }) => [told, isFrozen]), [['abort', false]])
  })

  test('that is not stored tells them so', async () => {
    await using bench = await benchWithGuest()
    const { host, writers } = asked({ name: 'redis' }, { name: 'mariadb', failsToFreeze: true })
    const { stored } = await bench.backup({
      applications: host, settings: { require: 'application', onWeaker: 'fail' } })
    assert.ok('not' in stored)
    assert.deepEqual(writers.map(({ told }) => told), ['abort', 'abort'])
  })
})

suite('applications that cannot be asked', () => {
  const cases: readonly (readonly [string, Partial<ApplicationHost>, string])[] = [
    ['an application that refuses its writer', {
      prepare: () => Promise.reject(new Fault('writer-failed', 'wrong password')) },
    'writer-not-reachable'],
    ['an application without a writer', { prepare: async () => undefined }, 'no-writer'],
    ['an agent that cannot look', {
      discover: () => Promise.reject(new Fault('agent-unreachable', 'gone')) },
    'applications-unknown'],
  ]
  for (const [what, behaviour, code] of cases) {
    test(`${what}: ${code}`, async () => {
      await using bench = await benchWithGuest()
      const { host } = asked({ name: 'redis' })
      const { result } = await bench.backup({ applications: { ...host, ...behaviour } })
      assert.ok(result.reasons.some((reason) => reason.code === code) ||
        result.applications.some(({ reason }) => reason?.code === code),
      JSON.stringify(result.reasons))
    })
  }

  test('what can be done about each that nobody holds is kept', async () => {
    await using bench = await benchWithGuest()
    const { host } = asked({ name: 'redis' })
    const others = [['mongod', 'protected'], ['\u001b[2Jplan.accdb', 'incidental']] as const
    const { evidence, result } = await bench.backup({ applications: {
      ...host,
      discover: async (signal) => [
        ...await host.discover(signal),
        ...others.map(([name, kind]) => ({
          name, kind, recovery: 'none', advice: `stop \u001b ${kind}`,
          data: { state: 'unknown', detail: 'x' } } as const)),
      ],
      prepare: async (application, signal) =>
        application.name === 'mongod' ? undefined : host.prepare(application, signal),
    } })
    const { discovery } = evidence.applications
    assert.ok(discovery.state === 'done')
    assert.deepEqual(discovery.applications.slice(1).map(({ writer }) => writer), [
      { contract: 'none', reason: 'no-writer', detail: 'stop \\x1b protected' },
      { contract: 'none', reason: 'no-writer', detail: 'stop \\x1b incidental' }])
    assert.equal(result.grade, 'filesystem') // for the one that is protected
  })

  test('nobody waits for them before the machine is free of what a killed run left', async () => {
    await using bench = await benchWithGuest()
    let isFree = false
    await bench.backup({ openApplications: async () => {
      isFree = bench.provider.left.size > 0 // prepared: that begins with the release
      return { missing: 'a frozen machine cannot answer' }
    } })
    assert.ok(isFree)
  })

  test('a machine that does not run is not asked', async () => {
    await using bench = await backupBench({ power: 'off' })
    const { host } = asked({ name: 'redis' })
    const { evidence } = await bench.backup({ applications: {
      ...host, discover: () => assert.fail('it was asked') } })
    assert.equal(evidence.applications.discovery.state, 'impossible')
  })

  test('a mistake of ours is no fault of theirs', async () => {
    await using bench = await benchWithGuest()
    const { host } = asked({ name: 'redis' })
    await assert.rejects(bench.backup({ applications: {
      ...host, discover: () => Promise.reject(new TypeError('ours')) } }), TypeError)
    assert.equal(signal.aborted, false)
  })
})

suite('a backup whose freeze holds the applications itself', () => {
  const HELD = {
    held: { statement: 'locked', positions: null },
    thawed: { state: 'thawed', heldThroughout: true, statement: 'unlocked' }, heldMs: 60_000,
  } as const
  const hooked = (host: ApplicationHost, hooks: ApplicationHost['hooks']): ApplicationHost =>
    ({ ...host, ...hooks === undefined ? {} : { hooks } })

  test('asks none of them to hold still, and believes the token', async () => {
    await using bench = await benchWithGuest()
    const journal: string[] = []
    const { host } = asked({ name: 'redis', journal }, { name: 'mariadb', journal })
    const { result, stored } = await bench.backup({ applications: hooked(host, {
      report: async () => ({ state: 'thawed', applications: new Map([['redis', HELD]]) }) }) })
    assert.ok('snapshotId' in stored)
    assert.deepEqual(result.applications.map(({ name, reason }) => [name, reason?.code]),
      [['redis', undefined], ['mariadb', 'hook-not-run']])
    // Nor are they told of the point: they were given up at the thaw.
    assert.deepEqual(journal, ['abort redis', 'abort mariadb'])
  })

  test('of which it is known that no hook is run says so, and gives them up', async () => {
    await using bench = await benchWithGuest()
    const { host, writers } = asked({ name: 'redis' })
    const { result, evidence } = await bench.backup({ applications: hooked(host, {
      ignored: 'hooks are ignored', report: async () => ({ missing: 'no token' }) }) })
    assert.equal(result.grade, 'filesystem')
    const { discovery } = evidence.applications
    assert.ok(discovery.state === 'done')
    assert.deepEqual(discovery.applications[0]?.writer,
      { contract: 'none', reason: 'hook-ignored', detail: 'hooks are ignored' })
    assert.equal(writers[0]?.told, 'abort')
  })

  test('looks for them with a nonce of its own point', async () => {
    await using bench = await backupBench({ heldBy: { kind: 'requestor', freezer: Object.assign(
      new FakeFreezer({ clock, mounts: MOUNTS }), { programs: {
        run: () => Promise.reject(new Error('nothing is run')),
        read: () => Promise.reject(new Error('nothing is read')) } }) } })
    let nonce = ''
    const { evidence } = await bench.backup({ openApplications: async (_signal, inside) => {
      nonce = inside?.nonce ?? ''
      return { missing: 'nobody' }
    } })
    assert.equal(nonce, evidence.pointId.replaceAll('-', ''))
  })
})
