import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { isFault } from './fault.ts'
import type { EchoRequest } from './testing/echo-worker.ts'
import { MOST_HERE_BYTES, ThreadPool, type Here } from './thread-pool.ts'
import { startWorker } from './worker.ts'

type Bytes = Uint8Array<ArrayBuffer>

function startPool(here?: Here<EchoRequest, Bytes>): ThreadPool<EchoRequest, Bytes> {
  return new ThreadPool({
    threads: 2, does: 'echoes', ...here === undefined ? {} : { here },
    start: () => startWorker('./testing/echo-worker', import.meta),
  })
}

const echo = (pool: ReturnType<typeof startPool>, value: number): Promise<Bytes> => {
  const bytes = new Uint8Array(1000).fill(value)
  return pool.ask({ bytes }, [bytes.buffer])
}

test('each answer goes to who asked, and its buffer travels', async () => {
  await using pool = startPool()
  const answers = await Promise.all(Array.from({ length: 20 }, (_, n) => echo(pool, n)))
  for (const [n, answer] of answers.entries()) {
    assert.ok(answer.length === 1000 && answer.every((byte) => byte === n))
  }
})

test('the first of it is answered by who asks, what is too much by threads', async () => {
  const answer = Uint8Array.of(1)
  await using pool = startPool({ answer: () => answer, bytesOf: () => MOST_HERE_BYTES / 2 })
  const answers = []
  for (let n = 0; n < 4; n++) answers.push(await echo(pool, n))
  assert.deepEqual(answers.map((it) => it === answer), [true, true, false, false])
  assert.equal(answers[3]?.[0], 3)
})

test('a fault of one request is its own', async () => {
  await using pool = startPool()
  const [failed, fine] = await Promise.allSettled([pool.ask('fault', []), echo(pool, 5)])
  assert.ok(failed.status === 'rejected' && fine.status === 'fulfilled')
  assert.ok(isFault(failed.reason, 'repository-damaged'))
  assert.equal(failed.reason.message, 'as asked')
})

test('a thread that ends fails what is under way, and all that comes later', async () => {
  await using pool = startPool()
  const asked = [pool.ask('die', []), pool.ask('die', []), echo(pool, 1), echo(pool, 2)]
  for (const settled of await Promise.allSettled(asked)) {
    if (settled.status === 'rejected') assert.ok(isFault(settled.reason, 'worker-failed'))
  }
  await assert.rejects(asked[0] ?? Promise.resolve(), { code: 'worker-failed' })
  await assert.rejects(echo(pool, 3), { code: 'worker-failed' })
})

test('disposing fails what is under way', async () => {
  const pool = startPool()
  const asked = assert.rejects(echo(pool, 1), { code: 'interrupted' })
  await pool[Symbol.asyncDispose]()
  await asked
})

test('threads that are ended at work are not stopped in it, and all goes on', async () => {
  for (let round = 0; round < 6; round++) {
    const pool = new ThreadPool<number, number>({
      threads: 2, does: 'compresses',
      start: () => startWorker('./testing/zstd-worker', import.meta) })
    const asked = [1, 2000, 2000, 2000].map((count) => pool.ask(count, []))
    assert.equal(await asked[0], 1)
    const late = Promise.allSettled(asked)
    await pool[Symbol.asyncDispose]()
    assert.ok((await late).filter(({ status }) => status === 'rejected').length >= 2)
  }
})
