import assert from 'node:assert/strict'
import { chmod, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { systemClock } from '../../base/clock.ts'
import { ManualClock } from '../../base/testing/manual-clock.ts'
import { FakeQmpError, FakeQmpServer, temporaryFolder } from '../testing/mod.ts'
import { QmpClient, QMP_LIMITS } from './qmp-client.ts'

const signal = new AbortController().signal

test('commands are answered by id, also when many are under way', async () => {
  await using folder = await temporaryFolder()
  await using server = await FakeQmpServer.start(join(folder.path, 'qmp'))
  server.handlers.set('echo', (args) => args)
  await using client = await QmpClient.connect(server.path, systemClock, signal)
  const values = await Promise.all(
    [1, 2, 3].map((n) => client.execute('echo', { n }, signal)))
  assert.deepEqual(values, [{ n: 1 }, { n: 2 }, { n: 3 }])
})

test('a pipeline is written at once and tells the outcome of each command', async () => {
  await using folder = await temporaryFolder()
  await using server = await FakeQmpServer.start(join(folder.path, 'qmp'))
  server.handlers.set('bad', () => { throw new FakeQmpError('GenericError', 'no\u001b[31m') })
  await using client = await QmpClient.connect(server.path, systemClock, signal)
  const [stop, bad, cont] = await client.pipeline(
    [{ execute: 'stop' }, { execute: 'bad' }, { execute: 'cont' }], signal)
  assert.deepEqual(stop, { value: {} })
  assert.ok(bad !== undefined && 'fault' in bad)
  assert.equal(bad.fault.message, 'QEMU refused bad: no\\x1b[31m')
  assert.deepEqual(cont, { value: {} })
  assert.deepEqual(server.journal, ['stop', 'bad', 'cont'])
})

test('events reach their listeners and are no answers', async () => {
  await using folder = await temporaryFolder()
  await using server = await FakeQmpServer.start(join(folder.path, 'qmp'))
  await using client = await QmpClient.connect(server.path, systemClock, signal)
  const events: string[] = []
  using _listening = client.onEvent(({ event }) => events.push(event))
  server.emit('STOP')
  await client.execute('query-status', {}, signal)
  assert.deepEqual(events, ['STOP'])
})

test('a command that QEMU does not know is unsupported', async () => {
  await using folder = await temporaryFolder()
  await using server = await FakeQmpServer.start(join(folder.path, 'qmp'))
  await using client = await QmpClient.connect(server.path, systemClock, signal)
  await assert.rejects(client.execute('nope', {}, signal), { code: 'unsupported' })
})

test('a socket that is held by another client is told with advice', async () => {
  await using folder = await temporaryFolder()
  await using server = await FakeQmpServer.start(join(folder.path, 'qmp'))
  await using _first = await QmpClient.connect(server.path, systemClock, signal)
  const clock = new ManualClock()
  const second = QmpClient.connect(server.path, clock, signal)
  await server.until(() => server.clientCount === 2)
  // The deadline is set when the client's own end has connected, a moment later.
  const ticking = setInterval(() => clock.advance(QMP_LIMITS.greetingMs), 1)
  await assert.rejects(second, (error: Error & { code?: string; advice?: string }) =>
    error.code === 'platform-unreachable' && /one client at a time/.test(error.advice ?? ''))
  clearInterval(ticking)
})

test('a command without an answer ends with its limit and a late answer is dropped', async () => {
  await using folder = await temporaryFolder()
  await using server = await FakeQmpServer.start(join(folder.path, 'qmp'))
  server.handlers.set('hang', () => undefined)
  const clock = new ManualClock()
  await using client = await QmpClient.connect(server.path, clock, signal)
  const hanging = client.execute('hang', {}, signal)
  await server.until(() => server.journal.includes('hang'))
  clock.advance(QMP_LIMITS.commandMs)
  await assert.rejects(hanging, { code: 'timed-out' })
  server.send('{"return": {}, "id": 2}')
  assert.deepEqual(await client.execute('cont', {}, signal), {})
})

test('an abort ends the wait', async () => {
  await using folder = await temporaryFolder()
  await using server = await FakeQmpServer.start(join(folder.path, 'qmp'))
  server.handlers.set('hang', () => undefined)
  await using client = await QmpClient.connect(server.path, systemClock, signal)
  const controller = new AbortController()
  const hanging = client.execute('hang', {}, controller.signal)
  controller.abort()
  await assert.rejects(hanging, { code: 'interrupted' })
  await assert.rejects(client.execute('cont', {}, controller.signal), { code: 'interrupted' })
  assert.ok(!server.journal.includes('cont'))
})

test('a lost connection ends what is under way and what comes later', async () => {
  await using folder = await temporaryFolder()
  await using server = await FakeQmpServer.start(join(folder.path, 'qmp'))
  server.handlers.set('hang', () => undefined)
  await using client = await QmpClient.connect(server.path, systemClock, signal)
  const hanging = client.execute('hang', {}, signal)
  await server.until(() => server.journal.includes('hang'))
  server.dropClients()
  await assert.rejects(hanging, { code: 'machine-lost' })
  await assert.rejects(client.execute('cont', {}, signal), { code: 'machine-lost' })
  assert.equal(client.isOpen, false)
})

test('what is no QMP is a fault and never an answer', async (t) => {
  const deep = '['.repeat(64)
  for (const line of ['hello', '42', '{"foo": 1}', '{"return": {}, "id": 99}', `{"a":${deep}`]) {
    await t.test(line.slice(0, 20), async () => {
      await using folder = await temporaryFolder()
      const path = join(folder.path, 'qmp')
      const server = createServer((socket) => { socket.end(`${line}\n`) })
      await new Promise<void>((resolve) => { server.listen(path, resolve) })
      await assert.rejects(
        QmpClient.connect(path, systemClock, signal), { code: 'platform-protocol' })
      server.close()
    })
  }
})

test('a missing, refused or forbidden socket is told in a line with advice', async () => {
  await using folder = await temporaryFolder()
  const file = join(folder.path, 'file')
  await writeFile(file, '')
  const closed = join(folder.path, 'closed')
  const server = createServer().listen(closed)
  await new Promise((resolve) => { server.once('listening', resolve) })
  await chmod(closed, 0o000)
  const rows: readonly (readonly [string, RegExp])[] = [
    [join(folder.path, 'none'), /does not exist/],
    [file, /nobody listens|not a socket/],
  ]
  for (const [path, message] of rows) {
    await assert.rejects(QmpClient.connect(path, systemClock, signal),
      (error: Error & { code?: string; advice?: string }) =>
        error.code === 'platform-unreachable' && message.test(error.message) &&
        error.advice !== undefined)
  }
  if (process.getuid?.() !== 0) {
    await assert.rejects(QmpClient.connect(closed, systemClock, signal), /may not open/)
  }
  server.close()
})
