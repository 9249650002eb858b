/** Applications asked over a channel: as if they were here, and never left held. */

import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { systemClock, type Clock } from '../base/clock.ts'
import { isFault } from '../base/fault.ts'
import { seededRandom } from '../base/random.ts'
import { ManualClock } from '../base/testing/manual-clock.ts'
import type { ApplicationHost, PreparedWriter } from '../consistency/mod.ts'
import { drive, FakeWriter, writerContract } from '../consistency/testing/mod.ts'
import { connectRemoteHost, serveHost } from './mod.ts'
import { channelPair, type ChannelPair, type OnTheWay } from './testing/mod.ts'

const signal = new AbortController().signal
const LIMITS = { freezeMs: 1000, holdMs: 5000, thawMs: 1000 }

function hostOf(writer: FakeWriter): ApplicationHost {
  return {
    agent: 'test-agent 1',
    discover: (at) => writer.discover(at),
    prepare: (application, at) => writer.prepare(application, at),
    [Symbol.asyncDispose]: async () => {},
  }
}

interface Line extends AsyncDisposable {
  readonly host: ApplicationHost
  readonly writer: FakeWriter
  readonly pair: ChannelPair
  /** Ends when the agent has let go of everything. */
  readonly served: Promise<void>
  readonly clock: Clock
}

async function connect(
  clock: Clock = systemClock, toAgent?: OnTheWay, toRequestor?: OnTheWay): Promise<Line> {
  const writer = new FakeWriter('redis', { clock, limits: LIMITS })
  const pair = channelPair(toAgent, toRequestor)
  const served = serveHost(pair.agent, { host: hostOf(writer), clock })
  const host = await connectRemoteHost(
    { channel: pair.requestor, clock, random: seededRandom(1) }, signal)
  return { host, writer, pair, served, clock, [Symbol.asyncDispose]: async () => {
    await host[Symbol.asyncDispose]()
    await served
    assert.equal(writer.isFrozen, false, 'the application was left held')
  } }
}

async function prepared({ host, clock }: Line): Promise<PreparedWriter> {
  const found = host.discover(signal)
  const [application] = await (clock instanceof ManualClock ? drive(clock, found) : found)
  assert.ok(application !== undefined)
  const preparing = host.prepare(application, signal)
  const writer = await (clock instanceof ManualClock ? drive(clock, preparing) : preparing)
  return writer ?? assert.fail('there is no writer')
}

writerContract('a writer behind a channel', async () => {
  const line = await connect()
  return {
    writer: {
      name: 'remote',
      discover: (at) => line.host.discover(at),
      prepare: async (application, at) =>
        await line.host.prepare(application, at) ?? assert.fail('there is no writer'),
    },
    isHeld: async () => line.writer.isFrozen,
    [Symbol.asyncDispose]: () => line[Symbol.asyncDispose](),
  }
})

test('an application is found, held and released as if it were here', async () => {
  await using line = await connect()
  assert.equal(line.host.agent, 'test-agent 1')
  const [here] = await line.writer.discover(signal)
  assert.ok(here !== undefined)
  line.writer.discover = async () => [{ ...here, advice: 'what can be done' }]
  assert.deepEqual(await line.host.discover(signal), [{ ...here, advice: 'what can be done' }])
  await using writer = await prepared(line)
  assert.deepEqual([writer.contract, writer.limits], [{ kind: 'held' }, LIMITS])
  const attempt = writer.beginFreeze()
  assert.deepEqual(await attempt.held,
    { statement: 'locked', positions: { beforeCheckpoint: '0/10', atFreeze: '0/20' } })
  assert.equal(line.writer.isFrozen, true)
  assert.deepEqual(await attempt.thaw(),
    { state: 'thawed', heldThroughout: true, statement: 'unlocked' })
  await writer.complete(signal)
  assert.equal(line.writer.told, 'complete')
})

suite('nothing stays held', () => {
  test('when the requestor goes away', async () => {
    await using line = await connect()
    const writer = await prepared(line)
    await writer.beginFreeze().held
    line.pair.requestor.close()
    await line.served
    assert.equal(line.writer.isFrozen, false)
    assert.equal(line.writer.told, 'abort')
  })

  test('when a requestor goes away while the freeze is under way', async () => {
    await using line = await connect()
    const writer = await prepared(line)
    writer.beginFreeze().held.catch(() => {})
    await new Promise(setImmediate)
    line.pair.requestor.close()
    await line.served
    assert.equal(line.writer.isFrozen, false)
  })

  test('when the requestor falls silent: the agent lets go, and the hold is void', async () => {
    const clock = new ManualClock()
    const line = await connect(clock)
    const writer = await prepared(line)
    const attempt = writer.beginFreeze()
    await drive(clock, attempt.held)
    await drive(clock, clock.sleep(LIMITS.holdMs, signal))
    assert.equal(line.writer.isFrozen, true)
    await drive(clock, clock.sleep(1100, signal))
    assert.equal(line.writer.isFrozen, false)
    const outcome = await drive(clock, attempt.thaw())
    assert.ok(outcome.state === 'thawed' && !outcome.heldThroughout)
    assert.match(outcome.statement, /released by the agent at its limit/)
  })

  test('when another requestor greets: what the first had prepared is released', async () => {
    const line = await connect()
    const writer = await prepared(line)
    await writer.beginFreeze().held
    line.pair.requestor.send(
      `${JSON.stringify({ session: 'f'.repeat(32), id: 1, do: 'hello', version: 1 })}\n`)
    while (line.writer.isFrozen) await new Promise(setImmediate)
    assert.equal(line.writer.told, 'abort')
    line.pair.requestor.close()
    await line.served
  })
})

suite('a channel that is not clean', () => {
  test('what earlier requestors left in it is passed over', async () => {
    const stale = [
      '{"session":"00000000000000000000000000000000","id":1,"ok":{"agent":"x"}}\n', 'nonsense\n',
      '\u0000\u0001half a line',
    ]
    let sent = false
    await using line = await connect(systemClock, undefined, (bytes) => {
      const before = sent ? [] : stale.slice(0, 2).map((text) => Buffer.from(text))
      sent = true
      return [...before, bytes]
    })
    line.pair.requestor.send('half a request {"session":')
    line.pair.requestor.send('\n')
    assert.equal((await line.host.discover(signal)).length, 1)
  })

  test('a freeze whose answer is lost fails within its limit and is thawed', async () => {
    const clock = new ManualClock()
    const line = await connect(clock, undefined, (bytes) =>
      Buffer.from(bytes).includes('"locked"') ? [] : [bytes])
    const writer = await prepared(line)
    const attempt = writer.beginFreeze()
    await assert.rejects(drive(clock, attempt.held, 50), { code: 'writer-timeout' })
    assert.equal(line.writer.isFrozen, true)
    const outcome = await drive(clock, attempt.thaw())
    assert.ok(outcome.state === 'thawed' && outcome.heldThroughout)
    assert.equal(line.writer.isFrozen, false)
  })

  test('a thaw whose answer is lost is unknown and carried out, and the last wait', async () => {
    const clock = new ManualClock()
    let asked = ''
    const line = await connect(clock, (bytes) => {
      asked += Buffer.from(bytes).toString()
      return [bytes]
    }, (bytes) => Buffer.from(bytes).includes('unlocked') ? [] : [bytes])
    const writer = await prepared(line)
    const attempt = writer.beginFreeze()
    await drive(clock, attempt.held)
    assert.equal((await drive(clock, attempt.thaw(), 50)).state, 'unknown')
    assert.equal(line.writer.isFrozen, false)
    await writer[Symbol.asyncDispose]()
    assert.doesNotMatch(asked, /"abort"/)
    await line[Symbol.asyncDispose]()
  })

  test('requests that come twice freeze once', async () => {
    await using line = await connect(systemClock, (bytes) => [bytes, bytes])
    const writer = await prepared(line)
    const attempt = writer.beginFreeze()
    await attempt.held
    assert.ok((await attempt.thaw()).state === 'thawed')
    assert.equal(line.writer.isFrozen, false)
  })

  test('an agent that never answers is a fault with advice', async () => {
    const clock = new ManualClock()
    const { requestor } = channelPair()
    const connecting = connectRemoteHost({ channel: requestor, clock, random: seededRandom(1) },
      signal)
    await assert.rejects(drive(clock, connecting, 1000), (error) =>
      isFault(error, 'agent-unreachable') && error.advice !== undefined)
  })

  test('another version says so', async () => {
    const { requestor, agent } = channelPair((bytes) =>
      [Buffer.from(Buffer.from(bytes).toString().replace('"version":1', '"version":2'))])
    const host = hostOf(new FakeWriter('redis', { clock: systemClock }))
    void serveHost(agent, { host, clock: systemClock })
    await assert.rejects(connectRemoteHost(
      { channel: requestor, clock: systemClock, random: seededRandom(1) }, signal),
    { code: 'unsupported', message: /version 1, and was addressed in 2/ })
  })
})
