/** Our client against servers that break the protocol, or the connection, in one way each. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../../base/clock.ts'
import { ManualClock } from '../../base/testing/manual-clock.ts'
import {
  chunk, optionReply, packed, simpleReply, startScriptedNbdServer, type NbdScript,
  type ScriptedRequest,
} from '../testing/scripted-nbd-server.ts'
import { nbdErrorOf } from './nbd-error.ts'
import { connectNbd, type NbdSource } from './nbd-source.ts'
import {
  IHAVEOPT, NBD_CMD_BLOCK_STATUS, NBD_MAGIC, NBD_OPT_GO, NBD_OPT_SET_META_CONTEXT,
  NBD_OPT_STRUCTURED_REPLY, NBD_REP_ACK, NBD_REP_INFO, NBD_REP_META_CONTEXT, NBD_REPLY_TYPE_ERROR,
  NBD_REPLY_TYPE_ERROR_OFFSET, NBD_REPLY_TYPE_NONE,
} from './protocol.ts'

const signal = new AbortController().signal
const none = Buffer.alloc(0)

/** Connects to a server of `script`; both are gone after `use`. */
async function withServer<T>(
  script: NbdScript, use: (source: NbdSource, requests: readonly ScriptedRequest[]) => Promise<T>,
  options: { clock?: ManualClock; contexts?: string[]; inFlight?: number } = {},
): Promise<T> {
  await using server = await startScriptedNbdServer(script)
  const { contexts = [], inFlight = 16 } = options
  await using source = await connectNbd(
    { socketPath: server.socketPath, exportName: 'disk', contexts,
      limits: { requestBytes: 4096, inFlight } },
    options.clock ?? systemClock, signal)
  return await use(source, server.requests)
}

const data = (cookie: bigint, offset: number, length: number, isDone = false, fill = 7): Buffer =>
  chunk(cookie, 1, isDone, Buffer.concat([packed([64, offset]), Buffer.alloc(length, fill)]))
const hole = (cookie: bigint, offset: number, length: number, isDone = false): Buffer =>
  chunk(cookie, 2, isDone, packed([64, offset], [32, length]))
const done = (cookie: bigint): Buffer => chunk(cookie, NBD_REPLY_TYPE_NONE, true)
const status = (
  cookie: bigint, id: number, descriptors: readonly [number, number][], isDone = true): Buffer =>
  chunk(cookie, 5, isDone, packed([32, id], ...descriptors.flatMap(
    ([length, flags]) => [[32, length], [32, flags]] as const)))

const go = (type: number, body: Uint8Array = none) => (option: number): Buffer[] | undefined =>
  option === NBD_OPT_GO ? [optionReply(option, type, body)] : undefined

for (const [name, script, code] of [
  ['a greeting of another protocol', { greeting: Buffer.alloc(18, 'x') }, 'nbd-protocol'],
  ['the oldstyle handshake', { greeting: packed([64, NBD_MAGIC], [64, 0x420281861253n], [16, 0]) },
    'nbd-refused'],
  ['a handshake that is not fixed', { greeting: packed([64, NBD_MAGIC], [64, IHAVEOPT], [16, 0]) },
    'nbd-refused'],
  ['an option reply without its magic', { option: () => [Buffer.alloc(20)] }, 'nbd-protocol'],
  ['a reply to another option', { option: () => [optionReply(99, NBD_REP_ACK)] }, 'nbd-protocol'],
  ['an endless option reply', {
    option: (option: number) => [
      optionReply(option, NBD_REP_ACK).subarray(0, 16), packed([32, 2 ** 32 - 1])],
  }, 'nbd-protocol'],
  ['endless option replies', {
    option: (option: number) => option === NBD_OPT_GO
      ? Array.from({ length: 99 }, () => optionReply(option, NBD_REP_INFO, packed([16, 9])))
        : undefined,
  }, 'nbd-protocol'],
  ['information without a type', { option: go(NBD_REP_INFO, Buffer.alloc(1)) }, 'nbd-protocol'],
  ['a short NBD_INFO_EXPORT', { option: go(NBD_REP_INFO, packed([16, 0], [32, 1])) },
    'nbd-protocol'],
  ['an export of 2^53 bytes', { sizeBytes: 2n ** 53n }, 'nbd-protocol'],
  ['transmission flags without the first', { flags: 2 }, 'nbd-protocol'],
  ['a GO without an export', { option: go(NBD_REP_ACK) }, 'nbd-protocol'],
  ['a GO answered with a context', { option: go(NBD_REP_META_CONTEXT, packed([32, 1])) },
    'nbd-protocol'],
  ['a refused export', { option: go(2 ** 31 + 6, Buffer.from('no\x1b[31m such')) }, 'nbd-refused'],
  ['a demand for TLS', { option: go(2 ** 31 + 5) }, 'nbd-refused'],
  ['block sizes that are no powers of two', { blockSizes: [3, 4096, 65_536] }, 'nbd-protocol'],
  ['a block size of nothing', { blockSizes: [0, 4096, 65_536] }, 'nbd-protocol'],
  ['a smallest block above 64 KiB', { blockSizes: [2 ** 17, 2 ** 17, 2 ** 20] }, 'nbd-protocol'],
  ['a largest payload below the smallest block', { blockSizes: [4096, 4096, 512] }, 'nbd-protocol'],
  ['a size that is no multiple of the block size',
    { blockSizes: [4096, 4096, 65_536], sizeBytes: 5000 }, 'unsupported'],
  ['structured replies answered with information', {
    option: (option: number) => option === NBD_OPT_STRUCTURED_REPLY
      ? [optionReply(option, NBD_REP_INFO)] : undefined,
  }, 'nbd-protocol'],
  ['a context that was not asked for', {
    option: (option: number) => option === NBD_OPT_SET_META_CONTEXT
      ? [optionReply(option, NBD_REP_META_CONTEXT,
        Buffer.concat([packed([32, 1]), Buffer.from('x:y')]))] : undefined,
  }, 'nbd-protocol'],
  ['one context twice', {
    option: (option: number) => option === NBD_OPT_SET_META_CONTEXT
      ? [1, 2].map((id) => optionReply(
      option, NBD_REP_META_CONTEXT,
      Buffer.concat([packed([32, id]), Buffer.from('base:allocation')]))) : undefined,
  }, 'nbd-protocol'],
] satisfies [string, NbdScript, string][]) {
  test(`the handshake refuses ${name}`, async () => {
    await assert.rejects(withServer(script, async () => {}), (error: Error & { code?: string }) => {
      assert.equal(error.code, code)
      // eslint-disable-next-line no-control-regex
      assert.doesNotMatch(error.message, /[\x00-\x1f]/)
      return true
    })
  })
}

for (const [name, reply] of [
  ['without its magic', () => [Buffer.alloc(20, 9)]],
  ['to a request that was never sent', () => [done(999n)]],
  ['with a cookie past 2^53', () => [done(2n ** 60n)]],
  ['that is simple', (c) => [simpleReply(c, 0, Buffer.alloc(4096))]],
  ['that is a simple error', (c) => [simpleReply(c, 5)]],
  ['that succeeds without data', (c) => [done(c)]],
  ['that succeeds with half of the data', (c) => [data(c, 0, 2048), done(c)]],
  ['with data before the request', (c) => [data(c, 0, 4096, true)], 4096],
  ['with data past the request', (c) => [data(c, 4095, 2, true)]],
  ['with data at 2^63',
    (c) => [chunk(c, 1, true, Buffer.concat([packed([64, 2n ** 63n]), Buffer.alloc(8)]))]],
  ['with data twice', (c) => [data(c, 0, 4096), data(c, 1000, 8)]],
  ['with a hole over data', (c) => [data(c, 0, 4096), hole(c, 0, 4096, true)]],
  ['with an empty hole', (c) => [hole(c, 0, 0), data(c, 0, 4096, true)]],
  ['with a hole of 4 GiB', (c) => [hole(c, 0, 2 ** 32 - 1, true)]],
  ['with a hole of a wrong length', (c) => [chunk(c, 2, true, packed([64, 0]))]],
  ['with an empty data chunk', (c) => [chunk(c, 1, false, packed([64, 0]))]],
  ['with an endless data chunk', (c) => [chunk(c, 1, true, packed([64, 0]), 2 ** 32 - 1)]],
  ['of an unknown type', (c) => [chunk(c, 77, true)]],
  ['with a block status', (c) => [status(c, 1, [[4096, 0]])]],
  ['with an end that has a payload', (c) => [chunk(c, 0, true, Buffer.alloc(1))]],
  ['with an end that is not the last', (c) => [chunk(c, 0, false)]],
  ['with an error of nothing',
    (c) => [chunk(c, NBD_REPLY_TYPE_ERROR, true, packed([32, 0], [16, 0]))]],
  ['with an error cut short', (c) => [chunk(c, NBD_REPLY_TYPE_ERROR, true, packed([32, 5]))]],
  ['with an error text past its chunk',
    (c) => [chunk(c, NBD_REPLY_TYPE_ERROR, true, packed([32, 5], [16, 9]))]],
  ['with an endless error text', (c) => [chunk(c, NBD_REPLY_TYPE_ERROR, true, none, 2 ** 31)]],
  ['with an unknown error cut short', (c) => [chunk(c, 2 ** 15 + 99, true, packed([32, 5]))]],
  ['with the end twice', (c) => [data(c, 0, 4096, true), done(c)]],
] satisfies [string, (cookie: bigint) => readonly Buffer[], number?][]) {
  test(`a read refuses a reply ${name}`, async () => {
    const offset = name === 'with data before the request' ? 4096 : 0
    await withServer({ request: ({ cookie }) => reply(cookie) }, async (source) => {
      // A second end does not spoil the read that was whole; it ends the connection.
      const first = source.read(offset, 4096, signal)
      if (name === 'with the end twice') await first
      else await assert.rejects(first, { code: 'nbd-protocol' })
      await assert.rejects(source.read(0, 1, signal), { code: 'nbd-protocol' })
    })
  })
}

for (const [name, reply] of [
  ['without descriptors', (c) => [chunk(c, 5, true, packed([32, 1]))]],
  ['with half a descriptor', (c) => [chunk(c, 5, true, packed([32, 1], [32, 4096]))]],
  ['with more descriptors than may be', (c) => [chunk(c, 5, true, none, 4 + 8 * (2 ** 20 + 1))]],
  ['with an empty descriptor', (c) => [status(c, 1, [[0, 0]])]],
  ['with descriptors that run on past the request', (c) => [status(c, 1, [[2 ** 20, 0], [1, 0]])]],
  ['of an unknown context', (c) => [status(c, 9, [[4096, 0]])]],
  ['of one context twice', (c) => [status(c, 1, [[4096, 0]], false), status(c, 1, [[4096, 0]])]],
  ['of no context', (c) => [done(c)]],
  ['that is a simple success', (c) => [simpleReply(c, 0)]],
  ['with data', (c) => [data(c, 0, 4096, true)]],
] satisfies [string, (cookie: bigint) => readonly Buffer[]][]) {
  test(`a status query refuses a reply ${name}`, async () => {
    await withServer({ request: ({ cookie }) => reply(cookie) }, async (source) => {
      const extents = source.extents?.({ offset: 0, length: 2 ** 20 }, signal) ?? []
      await assert.rejects(Array.fromAsync(extents), { code: 'nbd-protocol' })
    })
  })
}

test('chunks of one reply may come in any order and between those of another', async () => {
  const seen: ScriptedRequest[] = []
  const used = new Uint8Array(4096).fill(0xaa).buffer
  await withServer({
    request: (request) => {
      seen.push(request)
      const [a, b] = seen
      if (a === undefined || b === undefined) return []
      return [
        data(b.cookie, b.offset + 1024, 1024), data(a.cookie, a.offset + 3000, 1096),
        hole(b.cookie, b.offset, 1024),
        data(a.cookie, a.offset, 3000), done(a.cookie),
        data(b.cookie, b.offset + 2048, 2048, true, 9),
      ]
    },
  }, async (source) => {
    const [a, b] = await Promise.all(
      [source.read(0, 4096, signal), source.read(8192, 4096, signal, used)])
    assert.equal(b.buffer, used)
    assert.deepEqual(a, new Uint8Array(4096).fill(7))
    const expected = new Uint8Array(4096).fill(9)
    expected.fill(0, 0, 1024).fill(7, 1024, 2048)
    assert.deepEqual(b, expected)
  })
})

test('content in a thousand scattered pieces is put together, in more it is refused', async () => {
  const scattered = (step: number) => ({ cookie, length }: ScriptedRequest): Buffer[] => {
    const offsets = Array.from({ length: length / step }, (_, i) => i * step)
    const order = [
      ...offsets.filter((_, i) => i % 2 === 0), ...offsets.filter((_, i) => i % 2 === 1)]
    return [
      ...order.map((offset) => data(cookie, offset, step, false, offset / step)), done(cookie)]
  }
  await withServer({ request: scattered(4) }, async (source) => {
    const bytes = await source.read(0, 4096, signal)
    assert.ok(bytes.every((byte, i) => byte === Math.floor(i / 4) % 256))
  })
  await withServer({ request: scattered(1) }, async (source) => {
    await assert.rejects(source.read(0, 4096, signal), { code: 'nbd-protocol' })
  })
})

test('an error reply is a Fault with its errno and text, and the connection goes on', async () => {
  const text = Buffer.from('disk\x07 on fire')
  await withServer({
    request: ({ cookie, offset }) => {
      if (offset === 0) return [data(cookie, 0, 4096, true)]
      const error = packed([32, offset === 8192 ? 108 : 5], [16, text.length])
      return [
        data(cookie, offset, 512),
        chunk(cookie, NBD_REPLY_TYPE_ERROR_OFFSET, false,
          Buffer.concat([error, text, packed([64, offset])])),
        chunk(cookie, 2 ** 15 + 99, false, packed([32, 0], [16, 0])), done(cookie),
      ]
    },
  }, async (source) => {
    const error: unknown = await source.read(4096, 4096, signal).catch((reason: unknown) => reason)
    assert.ok(error instanceof Error)
    assert.match(error.message, /NBD_EIO: disk\\x07 on fire/)
    assert.equal(nbdErrorOf(error)?.errno, 5)
    await assert.rejects(source.read(4096, 4096, signal), { code: 'disk-unreadable' })
    await assert.rejects(source.read(8192, 4096, signal), { code: 'disk-lost' })
    await source.read(0, 4096, signal)
  })
})

test('extents: only ZERO is skipped, excess is clipped, short answers are asked on', async () => {
  await withServer({
    sizeBytes: 10_000,
    request: ({ cookie, offset }) => [status(cookie, 1,
      offset === 0 ? [[1000, 0], [1000, 1], [1000, 3]] : offset === 3000 ? [[2000, 2]]
        : [[2 ** 32 - 1, 0]])],
  }, async (source) => {
    const all = (range: { offset: number; length: number }): Promise<unknown[]> =>
      Array.fromAsync(source.extents?.(range, signal) ?? [])
    assert.deepEqual(await all({ offset: 0, length: 10_000 }), [
      { offset: 0, length: 2000, kind: 'data' }, { offset: 2000, length: 3000, kind: 'zero' },
      { offset: 5000, length: 5000, kind: 'data' },
    ])
    assert.deepEqual(
      await all({ offset: 6000, length: 1000 }), [{ offset: 6000, length: 1000, kind: 'data' }])
  })
})

test('a server without structured replies gives data but no extents', async () => {
  await withServer({
    isStructured: false,
    request: ({ cookie, length }) => length === 1 ? [simpleReply(cookie, 5)]
      : [simpleReply(cookie, 0, Buffer.alloc(length, 3))],
  }, async (source) => {
    assert.ok(!('extents' in source) || source.extents === undefined)
    assert.deepEqual(await source.read(0, 9000, signal), new Uint8Array(9000).fill(3))
    await assert.rejects(source.read(0, 1, signal), { code: 'disk-unreadable' })
  })
  await assert.rejects(
    withServer({ isStructured: false }, async () => {}, { contexts: ['qemu:dirty-bitmap:b'] }),
    { code: 'nbd-refused' })
})

test('a structured reply that was never negotiated is refused', async () => {
  const request = ({ cookie }: ScriptedRequest): Buffer[] => [done(cookie)]
  await withServer({ isStructured: false, request }, async (source) => {
    await assert.rejects(source.read(0, 1, signal), { code: 'nbd-protocol' })
  })
})

test('a long read is cut to the request size and a small one widened to whole blocks', async () => {
  await withServer({
    blockSizes: [512, 4096, 1536],
    request: ({ cookie, offset, length }) => [data(cookie, offset, length, true, offset / 512)],
  }, async (source, requests) => {
    const bytes = await source.read(1000, 3000, signal)
    assert.deepEqual(requests.map(({ offset, length }) => [offset, length]),
      [[512, 1536], [2048, 1536], [3584, 512]])
    const expected = new Uint8Array(4096 - 512)
    expected.fill(1, 0, 1536).fill(4, 1536, 3072).fill(7, 3072)
    assert.deepEqual(bytes, expected.slice(1000 - 512, 4000 - 512))
    assert.equal(bytes.buffer.byteLength, 3000)
  })
})

test('no more requests are under way at once than allowed', async () => {
  const held: ScriptedRequest[] = []
  let most = 0
  await withServer({
    request: (request, socket) => {
      held.push(request)
      most = Math.max(most, held.length)
      setImmediate(() => {
        for (const { cookie, offset, length } of held.splice(0)) {
          socket.write(data(cookie, offset, length, true))
        }
      })
      return []
    },
  }, async (source) => {
    assert.deepEqual(await source.read(0, 40 * 4096, signal), new Uint8Array(40 * 4096).fill(7))
  }, { inFlight: 3 })
  assert.equal(most, 3)
})

test('a server that falls silent is lost after the time limit, for all that wait', async () => {
  const clock = new ManualClock()
  await withServer({}, async (source, requests) => {
    const reads = Promise.allSettled([source.read(0, 3 * 4096, signal), source.read(0, 1, signal)])
    while (requests.length < 2) await new Promise((resolve) => setImmediate(resolve))
    clock.advance(119_999)
    clock.advance(1)
    for (const outcome of await reads) {
      assert.equal(outcome.status === 'rejected' && outcome.reason.code, 'disk-lost')
    }
    await assert.rejects(source.read(0, 1, signal), { code: 'disk-lost' })
    clock.advance(1000)
  }, { clock, inFlight: 2 })
})

test('a server silent in the handshake is given up, and an abort is heeded there', async () => {
  await using server = await startScriptedNbdServer({ greeting: none })
  const target = { socketPath: server.socketPath, exportName: '' }
  const clock = new ManualClock()
  const connecting = connectNbd(target, clock, signal)
  while (server.connections === 0) await new Promise((resolve) => setImmediate(resolve))
  clock.advance(20_000)
  await assert.rejects(connecting, { code: 'timed-out' })
  const abort = new AbortController()
  const aborted = connectNbd(target, clock, abort.signal)
  abort.abort()
  await assert.rejects(aborted, { code: 'interrupted' })
})

test('a connection cut anywhere in the handshake or a reply is a Fault, never a hang', async () => {
  for (const cut of [0, 1, 17]) {
    const greeting = packed([64, NBD_MAGIC], [64, IHAVEOPT], [16, 3]).subarray(0, cut)
    await using server = await startScriptedNbdServer({ greeting })
    const connecting = connectNbd(
      { socketPath: server.socketPath, exportName: '' }, systemClock, signal)
    while (server.connections === 0) await new Promise((resolve) => setImmediate(resolve))
    server.hangUp()
    await assert.rejects(connecting, { code: 'nbd-refused' })
  }
  for (const cut of [0, 4, 16, 20, 28, 29, 4000]) {
    await withServer({
      request: ({ cookie }, socket) => {
        socket.end(data(cookie, 0, 4096, true).subarray(0, cut))
        return []
      },
    }, async (source) => {
      await assert.rejects(source.read(0, 4096, signal), { code: 'disk-lost' })
    })
  }
})

test('data sent without a request ends the connection', async () => {
  const option = (number: number): Buffer[] | undefined => number === NBD_OPT_GO ? [
    optionReply(number, NBD_REP_INFO, packed([16, 0], [64, 4096], [16, 1])),
    optionReply(number, NBD_REP_ACK), done(1n),
  ] : undefined
  await withServer({ option }, async (source) => {
    await new Promise((resolve) => setImmediate(resolve))
    await assert.rejects(source.read(0, 1, signal), { code: 'nbd-protocol' })
  })
})

test('where no server listens the fault says so', async () => {
  const target = { socketPath: '/nonexistent/nbd.sock', exportName: '' }
  await assert.rejects(connectNbd(target, systemClock, signal), { code: 'nbd-refused' })
  const long = { socketPath: `/tmp/${'x'.repeat(200)}`, exportName: '' }
  await assert.rejects(connectNbd(long, systemClock, signal), { code: 'nbd-refused' })
})

test('names longer than the protocol allows are not sent', async () => {
  await assert.rejects(withServer({}, async () => {}, { contexts: [`x:${'y'.repeat(5000)}`] }),
    { code: 'nbd-refused' })
})

test('several connections are used only where the server allows it', async () => {
  const request = ({ type, cookie, offset, length }: ScriptedRequest): Buffer[] =>
    [type === NBD_CMD_BLOCK_STATUS ? status(cookie, 1, [[length, 0]])
      : data(cookie, offset, length, true)]
  for (const [flags, count] of [[1 | 2, 1], [1 | 2 | 256, 3]] as const) {
    await using server = await startScriptedNbdServer({ flags, request })
    await using source = await connectNbd({
      socketPath: server.socketPath, exportName: '', connections: 3, limits: { requestBytes: 512 },
    }, systemClock, signal)
    assert.equal(server.connections, count)
    assert.deepEqual(await source.read(0, 9000, signal), new Uint8Array(9000).fill(7))
  }
})
