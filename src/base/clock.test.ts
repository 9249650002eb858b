import assert from 'node:assert/strict'
import { test } from 'node:test'
import { abortable, deadline, isoTime, isoTimeMs, systemClock } from './clock.ts'
import { Fault, isFault } from './fault.ts'
import { ManualClock } from './testing/manual-clock.ts'

const never = new AbortController().signal

test('a deadline aborts with a timed-out fault that says what did not finish', () => {
  const clock = new ManualClock()
  using limit = deadline(clock, 500, 'the freeze')
  clock.advance(499)
  assert.equal(limit.signal.aborted, false)
  clock.advance(1)
  assert.ok(isFault(limit.signal.reason, 'timed-out'))
  assert.match(String(limit.signal.reason), /the freeze did not finish within 500 ms/)
})

test('a deadline follows its parent, at once if the parent was aborted before', () => {
  const parent = new AbortController()
  const reason = new Fault('interrupted', 'stop')
  using early = deadline(new ManualClock(), 500, 'x', parent.signal)
  parent.abort(reason)
  assert.equal(early.signal.reason, reason)
  using late = deadline(new ManualClock(), 500, 'x', parent.signal)
  assert.equal(late.signal.reason, reason)
})

test('a disposed deadline never aborts', () => {
  const clock = new ManualClock()
  const limit = deadline(clock, 500, 'x')
  limit[Symbol.dispose]()
  clock.advance(1000)
  assert.equal(limit.signal.aborted, false)
})

test('a sleep ends with the reason of its signal', async () => {
  const controller = new AbortController()
  const sleeping = systemClock.sleep(60_000, controller.signal)
  controller.abort(new Fault('interrupted', 'stop'))
  await assert.rejects(sleeping, { code: 'interrupted' })
  await assert.rejects(systemClock.sleep(1, controller.signal), { code: 'interrupted' })
})

test('a plain abort becomes an interrupted fault', async () => {
  const controller = new AbortController()
  const waiting = abortable(new Promise(() => {}), controller.signal)
  controller.abort()
  await assert.rejects(waiting, { code: 'interrupted' })
})

test('abortable passes results and errors through', async () => {
  assert.equal(await abortable(Promise.resolve(7), never), 7)
  await assert.rejects(abortable(Promise.reject(new Error('x')), never), /x/)
})

test('the manual clock fires timers in their order, also those set by a timer', () => {
  const clock = new ManualClock()
  const fired: string[] = []
  clock.after(20, () => fired.push(`b ${clock.monotonicMs()}`))
  clock.after(10, () => {
    fired.push(`a ${clock.monotonicMs()}`)
    clock.after(5, () => fired.push(`c ${clock.monotonicMs()}`))
  })
  clock.advance(30)
  assert.deepEqual(fired, ['a 10', 'c 15', 'b 20'])
})

test('wall times turn into ISO text and back; finer digits are dropped, other text is NaN', () => {
  assert.equal(isoTime(1_700_000_000_120), '2023-11-14T22:13:20.120Z')
  assert.equal(isoTimeMs('2023-11-14T22:13:20.120Z'), 1_700_000_000_120)
  assert.equal(isoTimeMs('2023-11-14T23:13:20.120999999+01:00'), 1_700_000_000_120)
  assert.ok(Number.isNaN(isoTimeMs('yesterday')))
})

test('what is aborted already hides the failure of its promise', async () => {
  const reason = new Fault('timed-out', 'enough')
  // An unhandled rejection would end the test run.
  await assert.rejects(
    abortable(Promise.reject(new Error('unheard')), AbortSignal.abort(reason)), reason)
  await new Promise(setImmediate)
})
