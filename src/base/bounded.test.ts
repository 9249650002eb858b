import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { forEachBounded, mapBounded } from './bounded.ts'

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

test('results come in source order whatever finishes first', async () => {
  const bound = fc.integer({ min: 1, max: 4 })
  await fc.assert(fc.asyncProperty(fc.scheduler(), fc.array(fc.nat(9)), bound,
    async (scheduler, items, inFlight) => {
      const done = collect(mapBounded(items, { inFlight }, (item) =>
        scheduler.schedule(Promise.resolve(item * 2))))
      await scheduler.waitFor(done)
      assert.deepEqual(await done, items.map((item) => item * 2))
    }))
})

test('never more calls or bytes are under way than allowed, one large item apart', async () => {
  const items = fc.array(fc.nat(9), { maxLength: 30 })
  const bound = fc.integer({ min: 1, max: 4 })
  await fc.assert(fc.asyncProperty(items, bound, async (sizes, inFlight) => {
    let running = 0
    let bytes = 0
    await collect(mapBounded(sizes, { inFlight, inFlightBytes: 12, sizeOf: (size) => size },
      async (size) => {
        running++
        bytes += size
        assert.ok(running <= inFlight && (bytes <= 12 || running === 1))
        await Promise.resolve()
        running--
        bytes -= size
      }))
  }))
})

test('the first error is thrown after calls under way have settled', async () => {
  let settled = 0
  const run = collect(mapBounded([1, 2, 3], { inFlight: 3 }, async (item) => {
    if (item === 1) throw new Error('first')
    await Promise.resolve()
    settled++
  }))
  await assert.rejects(run, /first/)
  assert.equal(settled, 2)
})

test('a consumer that stops early closes the source', async () => {
  let closed = false
  async function* source(): AsyncGenerator<number> {
    try {
      for (let i = 0; ; i++) yield i
    } finally {
      closed = true
    }
  }
  for await (const value of mapBounded(source(), { inFlight: 2 }, (n) => Promise.resolve(n))) {
    if (value === 3) break
  }
  assert.equal(closed, true)
})

test('forEachBounded visits every item', async () => {
  const seen: number[] = []
  await forEachBounded([1, 2, 3], { inFlight: 2 }, (item) => {
    seen.push(item)
    return Promise.resolve()
  })
  assert.deepEqual(seen, [1, 2, 3])
})
