/** NBD servers that lie, stop in the middle, or never stop. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deadline, systemClock } from '../../src/base/clock.ts'
import type { FaultCode } from '../../src/base/fault.ts'
import { seededRandom } from '../../src/base/random.ts'
import { connectNbd, type Extent, type NbdSource } from '../../src/disk/mod.ts'
import {
  chunk, optionReply, packed, startScriptedNbdServer, type NbdScript, type ScriptedRequest,
} from '../../src/disk/testing/mod.ts'
import { Dice, flipBits, grownBytes, outcomeOf } from './mutate.ts'

const signal = new AbortController().signal
const SIZE = 256 * 1024
const CONTENT = seededRandom(7)(SIZE)
const CODES: readonly FaultCode[] = [
  'nbd-protocol', 'nbd-refused', 'disk-lost', 'disk-unreadable', 'timed-out', 'no-space',
  'unsupported', 'out-of-range',
]
const LIMITS = { handshakeMs: 500, requestMs: 500, requestBytes: 64 * 1024 }
/** What a call may take beyond its limit on a machine that does other things too. */
const SLACK_MS = 20_000

const [OPT_GO, OPT_STRUCTURED, OPT_CONTEXT] = [7, 8, 10]
const [REP_ACK, REP_INFO, REP_CONTEXT] = [1, 3, 4]
const [CMD_READ, CMD_DISC, CMD_STATUS] = [0, 2, 7]
const [DATA, HOLE, STATUS, ERROR] = [1, 2, 5, 2 ** 15 + 1]
/** Blocks that are described, and sent, as zeros. */
const isHole = (block: number): boolean => block % 3 === 2
const BLOCK = 16 * 1024
for (let block = 0; block < SIZE / BLOCK; block++) {
  if (isHole(block)) CONTENT.fill(0, block * BLOCK, (block + 1) * BLOCK)
}

function greeting(): Buffer {
  return packed([64, 0x4e42444d41474943n], [64, 0x49484156454f5054n], [16, 3])
}

function optionReplies(option: number): Buffer[] {
  switch (option) {
    case OPT_STRUCTURED: return [optionReply(option, REP_ACK)]
    case OPT_CONTEXT: return [
      optionReply(option, REP_CONTEXT,
        Buffer.concat([packed([32, 1]), Buffer.from('base:allocation')])),
      optionReply(option, REP_ACK)]
    default: return [
      optionReply(option, REP_INFO, packed([16, 0], [64, SIZE], [16, 0x103])),
      optionReply(option, REP_INFO, packed([16, 3], [32, 512], [32, 4096], [32, 2 ** 25])),
      optionReply(option, REP_ACK)]
  }
}

/** True chunks for a request: a read in pieces of one block, a status in one chunk. */
function trueReply({ type, cookie, offset, length }: ScriptedRequest): Buffer[] {
  const end = Math.min(SIZE, offset + length)
  const blocks: { at: number; end: number; hole: boolean }[] = []
  for (let at = offset; at < end;) {
    const next = Math.min(end, (Math.floor(at / BLOCK) + 1) * BLOCK)
    blocks.push({ at, end: next, hole: isHole(Math.floor(at / BLOCK)) })
    at = next
  }
  if (type === CMD_STATUS) {
    return [chunk(cookie, STATUS, true, Buffer.concat([packed([32, 1]), ...blocks.map((it) =>
      packed([32, it.end - it.at], [32, it.hole ? 3 : 0]))]))]
  }
  if (type !== CMD_READ) return []
  return blocks.map((it, index) => {
    const isLast = index === blocks.length - 1
    return it.hole
      ? chunk(cookie, HOLE, isLast, packed([64, it.at], [32, it.end - it.at]))
      : chunk(cookie, DATA, isLast,
        Buffer.concat([packed([64, it.at]), CONTENT.subarray(it.at, it.end)]))
  })
}

const CHUNK_HEADER = 28 // with the offset of content, or the context and the first descriptor

/** Damages headers alone: content has no checksum, so a wrong byte of it nobody could notice. */
function damage(parts: readonly Buffer[], headerBytes: number, dice: Dice): Buffer[] {
  const all = [...parts]
  const at = dice.below(all.length)
  const part = all[at]
  if (part === undefined) return []
  const withLength = (value: number): Buffer => {
    const changed = Buffer.from(part)
    if (changed.length >= 20) changed.writeUInt32BE(value >>> 0, 16)
    return changed
  }
  switch (dice.below(9)) {
    case 0: return all.slice(0, at) // silence
    case 1: all[at] = part.subarray(0, dice.below(part.length)); return all.slice(0, at + 1)
    case 2: all.splice(at, 0, part); return all
    case 3: all.reverse(); return all
    case 4: all[at] = withLength(dice.pick([0, 1, 8, 9, 12, 2 ** 20, 2 ** 31, 2 ** 32 - 1])); break
    case 5: all.splice(at, 1); break
    case 6: all.splice(at, 0, Buffer.from(dice.bytes(1 + dice.below(64)))); break
    default: all[at] = flipBits(part, dice, 0, headerBytes)
  }
  return all
}

interface Damage {
  readonly where: 'greeting' | 'option' | 'request'
  /** The how manieth message of that kind. */
  readonly nth: number
}

function scriptOf(dice: Dice, { where, nth }: Damage): NbdScript {
  let options = 0
  let requests = 0
  return {
    ...where === 'greeting' ? { greeting: Buffer.concat(damage([greeting()], 18, dice)) } : {},
    option: (option) => {
      const replies = optionReplies(option)
      return where === 'option' && options++ === nth ? damage(replies, 64, dice) : replies
    },
    request: (request, socket) => {
      if (request.type === CMD_DISC) socket.destroy()
      const replies = trueReply(request)
      if (where !== 'request' || requests++ !== nth || replies.length === 0) return replies
      if (dice.below(12) === 0) {
        socket.destroy()
        return []
      }
      return damage(replies, CHUNK_HEADER, dice)
    },
  }
}

async function expectTrue(source: NbdSource, seed: number, isSizeTrue: boolean): Promise<void> {
  const ranges = [[0, SIZE], [100, 50_000], [SIZE - 512, 512]] as const
  const reads = ranges.map(([offset, length]) => outcomeOf(
    () => source.read(offset, length, signal), CODES, `seed ${seed}, read`))
  for (const [index, read] of (await Promise.all(reads)).entries()) {
    count(read)
    const [offset, length] = ranges[index] ?? [0, 0]
    if (!('value' in read)) continue
    assert.ok(Buffer.compare(read.value, CONTENT.subarray(offset, offset + length)) === 0,
      `seed ${seed}: wrong bytes were passed off as read`)
  }
  const extents = await outcomeOf(async () => {
    const list: Extent[] = []
    const range = { offset: 0, length: Math.min(SIZE, source.sizeBytes) }
    for await (const extent of source.extents?.(range, signal) ?? []) list.push(extent)
    return list
  }, CODES, `seed ${seed}, extents`)
  if (!('value' in extents) || extents.value.length === 0 || !isSizeTrue) return
  const zeros = extents.value.filter(({ kind }) => kind === 'zero')
  for (const { offset, length } of zeros) {
    assert.ok(CONTENT.subarray(offset, offset + length).every((byte) => byte === 0),
      `seed ${seed}: data was passed off as zeros`)
  }
}

const PLACES = ['greeting', 'option', 'option', 'request', 'request', 'request'] as const
/** How the attacks ended. */
const tally = new Map<string, number>()

function count(outcome: object): void {
  const key = 'code' in outcome ? String(outcome.code) : 'fine'
  tally.set(key, (tally.get(key) ?? 0) + 1)
}

async function attack(seed: number): Promise<void> {
  const dice = new Dice(seed)
  const where = dice.pick(PLACES)
  await using server = await startScriptedNbdServer(scriptOf(dice, { where, nth: dice.below(3) }))
  const startMs = performance.now()
  const connected = await outcomeOf(() => connectNbd(
    { socketPath: server.socketPath, exportName: 'x', connections: 2, limits: LIMITS },
    systemClock, signal), CODES, `seed ${seed}, connect`)
  count(connected)
  if ('value' in connected) {
    await using source = connected.value
    if (source.sizeBytes >= SIZE) await expectTrue(source, seed, where === 'request')
  }
  assert.ok(performance.now() - startMs < SLACK_MS, `seed ${seed} took too long`)
}

test('no damage in a header makes the client hang, crash or read a wrong byte', async () => {
  const grown = await grownBytes(async () => {
    for (let seed = 1; seed <= 480; seed += 16) {
      await Promise.all(Array.from({ length: 16 }, (_, more) => attack(seed + more)))
    }
  })
  assert.ok(grown < 256 * 2 ** 20, `${grown} bytes more are held`)
  const ways = ['fine', 'nbd-protocol', 'nbd-refused', 'timed-out', 'disk-lost']
  for (const way of ways) assert.ok((tally.get(way) ?? 0) > 0, `no attack ended ${way}`)
})

test('silence at each step ends in a fault when its limit is over', async () => {
  const full = { greeting: greeting(), option: optionReplies, request: trueReply }
  const rows: readonly (readonly [string, NbdScript, readonly FaultCode[]])[] = [
    ['greeting', { ...full, greeting: Buffer.alloc(0) }, ['timed-out']],
    ['half a greeting', { ...full, greeting: greeting().subarray(0, 9) }, ['timed-out']],
    ...[OPT_STRUCTURED, OPT_CONTEXT, OPT_GO].flatMap((silent) => [0, 1].map((said) => (
      [`option ${silent} after ${said}`, { ...full, option: (option: number) =>
        option === silent ? optionReplies(option).slice(0, -1).slice(0, said)
          : optionReplies(option) }, ['timed-out']] as const))),
    ['requests', { ...full, request: () => [] }, ['disk-lost']],
    ['half a reply', { ...full, request: (it) => trueReply(it).slice(0, 1) }, ['disk-lost']],
  ]
  await Promise.all(rows.map(async ([name, script, codes]) => {
    await using server = await startScriptedNbdServer(script)
    const outcome = await outcomeOf(async () => {
      await using source = await connectNbd(
        { socketPath: server.socketPath, exportName: '', limits: LIMITS }, systemClock, signal)
      return await source.read(0, SIZE, signal)
    }, codes, name)
    assert.ok('code' in outcome, name)
  }))
})

test('replies without end are ended, whatever they are', async () => {
  const context = optionReply(OPT_CONTEXT, REP_CONTEXT,
    Buffer.concat([packed([32, 1]), Buffer.from('base:allocation')]))
  const info = optionReply(OPT_GO, REP_INFO, packed([16, 77]))
  const many = (reply: Buffer): readonly Buffer[] => Array<Buffer>(100_000).fill(reply)
  const endless = (reply: Buffer) => (_: ScriptedRequest, socket: { write: (b: Buffer) => unknown;
    destroyed: boolean; once: (event: 'drain', fn: () => void) => unknown }): readonly Buffer[] => {
    const block = Buffer.concat(Array<Buffer>(1000).fill(reply))
    const pour = (): void => {
      while (!socket.destroyed) if (socket.write(block) === false) break
      if (!socket.destroyed) socket.once('drain', pour)
    }
    pour()
    return []
  }
  const errorChunk = (cookie: bigint): Buffer =>
    chunk(cookie, ERROR, false, packed([32, 5], [16, 0]))
  const scripts: readonly (readonly [string, NbdScript, FaultCode])[] = [
    ['contexts', { option: (it) => it === OPT_CONTEXT ? many(context) : undefined },
      'nbd-protocol'],
    ['information', { option: (it) => it === OPT_GO ? many(info) : undefined }, 'nbd-protocol'],
    ['errors', { request: (it, socket) => endless(errorChunk(it.cookie))(it, socket) },
      'disk-lost'],
    ['crumbs', { request: ({ cookie, offset, length }) =>
      Array.from({ length: length / 2 }, (_, i) =>
        chunk(cookie, HOLE, false, packed([64, offset + 2 * i], [32, 1]))) }, 'nbd-protocol'],
  ]
  for (const [name, script, code] of scripts) {
    await using server = await startScriptedNbdServer(script)
    const grown = await grownBytes(async () => {
      const outcome = await outcomeOf(async () => {
        await using source = await connectNbd({ socketPath: server.socketPath, exportName: '',
          limits: { ...LIMITS, handshakeMs: 10_000 } }, systemClock, signal)
        return await source.read(0, 8192, signal)
      }, [code], name)
      assert.ok('code' in outcome, name)
    })
    // The server's own buffers are in this process too.
    assert.ok(grown < 256 * 2 ** 20, `${name}: ${grown} bytes more are held`)
  }
})

test('a disk of absurd size and described byte by byte costs no more than a reply', async () => {
  const crumbs = 2 ** 20
  await using server = await startScriptedNbdServer({
    sizeBytes: 2n ** 52n,
    request: ({ type, cookie }, socket) => {
      if (type === CMD_DISC) socket.destroy()
      const payload = Buffer.alloc(4 + 8 * crumbs)
      payload.writeUInt32BE(1)
      for (let i = 0; i < crumbs; i++) payload.writeUInt32BE(1, 4 + 8 * i)
      return [chunk(cookie, STATUS, true, payload)]
    },
  })
  await using source = await connectNbd(
    { socketPath: server.socketPath, exportName: '', limits: { requestMs: 20_000 } },
    systemClock, signal)
  assert.equal(source.sizeBytes, 2 ** 52)
  const grown = await grownBytes(async () => {
    using limit = deadline(systemClock, 2_000, 'the list of extents')
    const range = { offset: 0, length: source.sizeBytes }
    await assert.rejects(async () => {
      for await (const _ of source.extents?.(range, limit.signal) ?? []) {
        assert.fail('all is of one kind')
      }
    }, { code: 'timed-out' })
  })
  assert.ok(grown < 512 * 2 ** 20, `${grown} bytes more are held`)
})
