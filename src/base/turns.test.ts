import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from './clock.ts'
import { ManualClock } from './testing/manual-clock.ts'
import { atOnce, inTurns, mapping, TurnWatch, type Work } from './turns.ts'

const signal = new AbortController().signal

/** Uses this thread's processor for so many ms. */
function burn(ms: number): void {
  const begun = process.threadCpuUsage()
  for (;;) {
    const { user, system } = process.threadCpuUsage(begun)
    if (user + system >= ms * 1000) return
  }
}

function* burning(ms: number): Work<string> {
  for (let done = 0; done < ms; done++) {
    burn(1)
    yield
  }
  return 'done'
}

test('work in turns lets others in, and no turn of it is long', async () => {
  using watch = new TurnWatch()
  let heard = 0
  let isDone = false
  const listening = (): void => {
    heard++
    if (!isDone) setImmediate(listening)
  }
  setImmediate(listening)
  assert.equal(await inTurns(burning(200), systemClock, signal), 'done')
  isDone = true
  assert.ok(heard > 5, `${heard}`)
  assert.ok(watch.longest.cpuMs < 50, `${watch.longest.cpuMs} ms`)
})

test('the same work at once is one turn, and the watch says so', () => {
  using watch = new TurnWatch()
  assert.equal(atOnce(burning(80)), 'done')
  assert.ok(watch.longest.cpuMs >= 80, `${watch.longest.cpuMs} ms`)
})

test('several works behind one another do not add up to one turn', async () => {
  using watch = new TurnWatch()
  for (let n = 0; n < 40; n++) await inTurns(burning(4), systemClock, signal)
  assert.ok(watch.longest.cpuMs < 50, `${watch.longest.cpuMs} ms`)
})

test('work in turns ends with its signal, and with what it throws', async () => {
  const controller = new AbortController()
  const clock = new ManualClock()
  let steps = 0
  function* endless(): Work<never> {
    for (;;) {
      if (++steps === 3) controller.abort(new Error('enough'))
      clock.advance(10)
      yield
    }
  }
  await assert.rejects(inTurns(endless(), clock, controller.signal), /enough/)
  assert.equal(steps, 3)
  // eslint-disable-next-line require-yield
  function* failing(): Work<never> {
    throw new Error('bad')
  }
  await assert.rejects(inTurns(failing(), clock, signal), /bad/)
})

test('a list is mapped in its order', () => {
  const numbers = Array.from({ length: 1000 }, (_, i) => i)
  assert.deepEqual(atOnce(mapping(numbers, (n) => n * 2)), numbers.map((n) => n * 2))
  const steps = [...mapping(numbers, String)].length
  assert.ok(steps >= 10, `${steps}`)
})
