import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { systemClock } from '../../base/clock.ts'
import { ManualClock } from '../../base/testing/manual-clock.ts'
import { FakeGuestAgent, temporaryFolder } from '../testing/mod.ts'
import { AgentClient, saysFrozen } from './agent-client.ts'
import { parseFileSystems } from './agent-file-systems.ts'

const signal = new AbortController().signal
const connect = (path: string): Promise<AgentClient> =>
  AgentClient.connect(path, 5_000, systemClock, signal)

test('the complaint about the sentinel is dropped and the agent freezes and thaws', async () => {
  await using folder = await temporaryFolder()
  await using agent = await FakeGuestAgent.start(join(folder.path, 'qga'))
  await using client = await connect(agent.path)
  assert.equal(await client.status(signal), 'thawed')
  assert.equal(await client.freeze(), 3)
  assert.equal(await client.status(signal), 'frozen')
  assert.equal(await client.thaw(), 3)
  assert.deepEqual(agent.journal, ['sync', 'freeze issued', 'freeze 3', 'thaw 3'])
})

test('answers to an earlier client come before the synchronisation and are dropped', async () => {
  await using folder = await temporaryFolder()
  const path = join(folder.path, 'qga')
  const server = createServer((socket) => {
    socket.once('data', (request: Buffer) => {
      const id = /"id":(\d+)/.exec(request.toString('latin1'))?.[1]
      socket.write('{"return": 7}\n{"error": {"class": "GenericError", "desc": "stray"}}\n')
      socket.write(Buffer.from('\u00ff{"return": 1}\n', 'latin1'))
      socket.write(Buffer.from(`half of an answer \u00ff{"return": ${id}}\n`, 'latin1'))
      socket.once('data', () => socket.write('{"return": "thawed"}\n'))
    })
  })
  await new Promise<void>((resolve) => { server.listen(path, resolve) })
  await using client = await connect(path)
  assert.equal(await client.status(signal), 'thawed')
  server.close()
})

test('an agent that says nothing is unreachable, with the two usual causes as advice', async () => {
  await using folder = await temporaryFolder()
  await using agent = await FakeGuestAgent.start(join(folder.path, 'qga'))
  agent.behaviour.isSilent = true
  const clock = new ManualClock()
  const ticking = setInterval(() => clock.advance(1_000), 1)
  await assert.rejects(AgentClient.connect(agent.path, 5_000, clock, signal),
    (error: Error & { code?: string; advice?: string }) =>
      error.code === 'agent-unreachable' && /does not answer within 5000 ms/.test(error.message) &&
      /qemu-ga runs in the guest/.test(error.advice ?? ''))
  clearInterval(ticking)
})

test('a second client is served as soon as the first is gone', async () => {
  await using folder = await temporaryFolder()
  await using agent = await FakeGuestAgent.start(join(folder.path, 'qga'))
  const first = await connect(agent.path)
  const second = connect(agent.path)
  await first.freeze()
  await first[Symbol.asyncDispose]()
  await using client = await second
  assert.equal(await client.status(signal), 'frozen')
})

test('refusals keep the agent\u2019s words and tell a guest that is frozen already', async () => {
  await using folder = await temporaryFolder()
  await using agent = await FakeGuestAgent.start(join(folder.path, 'qga'))
  await using client = await connect(agent.path)
  agent.behaviour.freezeHookStatus = 7
  await assert.rejects(client.freeze(), (error) => !saysFrozen(error) && error instanceof Error &&
    error.message ===
      'the agent refused guest-fsfreeze-freeze: fsfreeze hook has failed with status 7')
  agent.freezeByOthers(2)
  await assert.rejects(client.freeze(), saysFrozen)
  await assert.rejects(client.fileSystems(signal), saysFrozen)
})

test('commands that are disabled are left out of the enabled ones', async () => {
  await using folder = await temporaryFolder()
  await using agent = await FakeGuestAgent.start(join(folder.path, 'qga'))
  agent.behaviour.disabled.add('guest-fsfreeze-freeze')
  await using client = await connect(agent.path)
  const { version, enabledCommands } = await client.version(signal)
  assert.equal(version, '7.2.22')
  assert.ok(enabledCommands.has('guest-fsfreeze-thaw'))
  assert.ok(!enabledCommands.has('guest-fsfreeze-freeze'))
})

test('a connection that breaks ends a freeze under way', async () => {
  await using folder = await temporaryFolder()
  await using agent = await FakeGuestAgent.start(join(folder.path, 'qga'))
  const gate = Promise.withResolvers<void>()
  agent.behaviour.beforeFreeze = () => gate.promise
  await using client = await connect(agent.path)
  const freezing = client.freeze()
  await agent.until(() => agent.journal.includes('freeze issued'))
  agent.dropClients()
  await assert.rejects(freezing, { code: 'agent-unreachable' })
  gate.resolve()
})

test('answers that are no answers are a protocol fault', async () => {
  const lines = ['nonsense', '42', '[]', '{"return": "half"}', '{"return": -1}', '{"return": 1.5}']
  for (const line of lines) {
    await using folder = await temporaryFolder()
    const path = join(folder.path, 'qga')
    const server = createServer((socket) => {
      socket.once('data', (request: Buffer) => {
        const id = /"id":(\d+)/.exec(request.toString('latin1'))?.[1]
        socket.write(Buffer.from(`\u00ff{"return": ${id}}\n`, 'latin1'))
        socket.once('data', () => socket.write(`${line}\n`))
      })
    })
    await new Promise<void>((resolve) => { server.listen(path, resolve) })
    await using client = await connect(path)
    await assert.rejects(client.freeze(), { code: 'agent-protocol' }, line)
    server.close()
  }
})

const address = {
  'bus-type': 'virtio', bus: 0, target: 0, unit: 0,
  'pci-controller': { domain: 0, bus: 0, slot: 4, function: 0 },
}

test('file systems are parsed with their disks, with or without serial', () => {
  const parsed = parseFileSystems([
    { name: 'vda1', mountpoint: '/', type: 'ext4',
      disk: [{ ...address, serial: 'S', dev: '/dev' }] },
    { name: 'dm-0', mountpoint: '/srv', type: 'xfs', disk: [address, address], 'used-bytes': 1 },
    { name: 'tmp', mountpoint: '/x', type: 'xfs' },
  ])
  assert.deepEqual(parsed.map(({ device, disks }) => [device, disks.map((disk) => disk.serial)]),
    [['vda1', ['S']], ['dm-0', [undefined, undefined]], ['tmp', []]])
  assert.deepEqual(parsed[0]?.disks[0]?.pci, { domain: 0, bus: 0, slot: 4, function: 0 })
})

test('a list of file systems that is not one is a protocol fault', () => {
  const rows: readonly unknown[] = [
    null, {}, [1], [{}], [{ name: 'a', mountpoint: 1, type: 'x' }],
    [{ name: 'a', mountpoint: '/', type: 'x', disk: 1 }],
    [{ name: 'a', mountpoint: '/', type: 'x', disk: [{ ...address, bus: 'x' }] }],
    [{ name: 'a'.repeat(5000), mountpoint: '/', type: 'x' }],
    Array.from({ length: 5000 }, () => ({ name: 'a', mountpoint: '/', type: 'x' })),
  ]
  for (const row of rows) assert.throws(() => parseFileSystems(row), { code: 'agent-protocol' })
})
