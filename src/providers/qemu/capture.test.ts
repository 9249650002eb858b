import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { systemClock } from '../../base/clock.ts'
import { FakeQmpError, FakeQmpServer, temporaryFolder } from '../testing/mod.ts'
import { chooseMethod, type CaptureMethod, type StopWatch } from './capture.ts'
import type { QemuDisk } from './disks.ts'
import { runNames } from '../machine/run-names.ts'
import { QmpClient } from './qmp-client.ts'

const signal = new AbortController().signal
const names = runNames('01234567-89ab-4def-8123-456789abcdef')
const disk = (id: string): QemuDisk => ({
  id, sizeBytes: 1024, bus: 'virtio', serial: undefined, logicalBlockBytes: undefined,
  path: `/machine/peripheral/${id}`, node: `node-${id}`, file: `/i/${id}`, pci: undefined,
  target: undefined, lun: undefined })
const DISKS = [disk('a'), disk('b')]

interface Scene extends AsyncDisposable {
  readonly qmp: FakeQmpServer
  readonly method: CaptureMethod
  readonly watched: string[]
}

/** QEMU as of a version whose blockdev-backup has `on-cbw-error`, or has not. */
async function scene(hasOnCbwError: boolean, watch: Partial<StopWatch> = {}): Promise<Scene> {
  await using stack = new AsyncDisposableStack()
  const folder = stack.use(await temporaryFolder())
  const qmp = stack.use(await FakeQmpServer.start(join(folder.path, 'qmp')))
  qmp.handlers.set('query-qmp-schema', () => [
    { name: 'blockdev-backup', 'meta-type': 'command', 'arg-type': '31', 'ret-type': '0' },
    { name: '31', 'meta-type': 'object', members: [
      { name: 'device', type: 'str' },
      ...(hasOnCbwError ? [{ name: 'on-cbw-error', type: '7' }] : [])] },
  ])
  for (const command of ['blockdev-add', 'qom-set', 'transaction']) {
    qmp.handlers.set(command, () => ({}))
  }
  const client = stack.use(await QmpClient.connect(qmp.path, systemClock, signal))
  const watched: string[] = []
  const note = (what: string): Promise<void> => {
    watched.push(what)
    return Promise.resolve()
  }
  const method = await chooseMethod(client, names,
    { stopping: () => note('stopping'), resumed: () => note('resumed'), ...watch }, signal)
  qmp.journal.length = 0
  const owned = stack.move()
  return { qmp, method, watched, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

test('a QEMU that can break the capture instead of the guest makes it in one transaction',
  async () => {
    await using s = await scene(true)
    let actions: unknown
    s.qmp.handlers.set('transaction', (args) => {
      ({ actions } = args)
      return {}
    })
    await s.method.prepare(DISKS, signal)
    assert.deepEqual(await s.method.commit(DISKS, 'running', [], signal),
      { method: 'qmp-transaction', stoppedMs: 0 })
    assert.deepEqual(s.qmp.journal, ['transaction'])
    assert.deepEqual(actions, ['a', 'b'].map((id, index) => ({ type: 'blockdev-backup', data: {
      'job-id': `stillpoint-01234567-j${index}`, device: `node-${id}`,
      target: `stillpoint-01234567-t${index}`, sync: 'none',
      'filter-node-name': `stillpoint-01234567-f${index}`, 'on-cbw-error': 'break-snapshot' } })))
  })

test('a transaction that QEMU refuses is a failed snapshot', async () => {
  await using s = await scene(true)
  s.qmp.handlers.set('transaction', () => { throw new FakeQmpError('GenericError', 'busy') })
  await assert.rejects(s.method.commit(DISKS, 'running', [], signal), { code: 'snapshot-failed' })
})

test('an older QEMU is stopped, switched and resumed, with the guardian told before', async () => {
  await using s = await scene(false)
  await s.method.prepare(DISKS, signal)
  assert.deepEqual(s.qmp.journal, ['blockdev-add', 'blockdev-add'])
  s.qmp.journal.length = 0
  const { method } = await s.method.commit(DISKS, 'running', [], signal)
  assert.equal(method, 'stop-window')
  assert.deepEqual(s.qmp.journal,
    ['query-status', 'stop', 'query-status', 'qom-set', 'qom-set', 'cont', 'query-status'])
  assert.deepEqual(s.watched, ['stopping', 'resumed'])
})

test('the time stood still is taken from QEMU\u2019s own events', async () => {
  await using s = await scene(false)
  const event = (name: string, microseconds: number): void => s.qmp.send(JSON.stringify(
    { event: name, data: {}, timestamp: { seconds: 5, microseconds } }))
  s.qmp.handlers.set('stop', () => {
    s.qmp.status = 'paused'
    event('STOP', 1_000)
    return {}
  })
  s.qmp.handlers.set('cont', () => {
    s.qmp.status = 'running'
    event('RESUME', 4_500)
    return {}
  })
  assert.equal((await s.method.commit(DISKS, 'running', [], signal)).stoppedMs, 3.5)
})

test('a switch that fails is a failed snapshot, and the machine runs', async () => {
  await using s = await scene(false)
  let calls = 0
  s.qmp.handlers.set('qom-set', () => {
    if (++calls === 2) throw new FakeQmpError('GenericError', 'no such node')
    return {}
  })
  await assert.rejects(s.method.commit(DISKS, 'running', [], signal), { code: 'snapshot-failed' })
  assert.equal(s.qmp.status, 'running')
  assert.deepEqual(s.watched, ['stopping', 'resumed'])
})

test('a machine that does not run after cont is told again to', async () => {
  await using s = await scene(false)
  let calls = 0
  s.qmp.handlers.set('cont', () => {
    if (++calls === 1) throw new FakeQmpError('GenericError', 'not now')
    s.qmp.status = 'running'
    return {}
  })
  await assert.rejects(s.method.commit(DISKS, 'running', [], signal), { code: 'snapshot-failed' })
  assert.equal(s.qmp.status, 'running')
})

test('a machine that does not stop is no instant', async () => {
  await using s = await scene(false)
  s.qmp.handlers.set('stop', () => ({}))
  await assert.rejects(s.method.commit(DISKS, 'running', [], signal),
    { code: 'snapshot-failed', message: /did not stand still/ })
})

test('an abort in the window still ends with a machine that runs', async () => {
  await using s = await scene(false)
  const controller = new AbortController()
  s.qmp.handlers.set('stop', () => {
    s.qmp.status = 'paused'
    controller.abort()
    return {}
  })
  await assert.rejects(
    s.method.commit(DISKS, 'running', [], controller.signal), { code: 'interrupted' })
  assert.equal(s.qmp.status, 'running')
})

test('without a guardian that knows of it nothing is stopped', async () => {
  await using s = await scene(false, { stopping: () => Promise.reject(new Error('dead')) })
  await assert.rejects(s.method.commit(DISKS, 'running', [], signal), /dead/)
  assert.ok(!s.qmp.journal.includes('stop'))
})

test('a machine at rest is neither stopped nor resumed', async () => {
  await using s = await scene(false)
  s.qmp.status = 'paused'
  await s.method.commit(DISKS, 'paused', [], signal)
  assert.deepEqual(s.qmp.journal, ['query-status', 'qom-set', 'qom-set', 'query-status'])
  assert.deepEqual(s.watched, [])
})

test('a machine that begins to run during its capture is no instant', async () => {
  for (const event of ['RESUME', 'WAKEUP', 'RESET']) {
    await using s = await scene(false)
    s.qmp.status = 'paused'
    s.qmp.handlers.set('qom-set', () => {
      s.qmp.emit(event)
      return {}
    })
    await assert.rejects(s.method.commit(DISKS, 'paused', [], signal),
      { code: 'snapshot-failed', retry: 'now' })
  }
})
