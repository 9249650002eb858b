import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { causesOf, Fault } from './fault.ts'
import { faultMessage, faultOfMessage } from './fault-message.ts'

test('a fault says in another thread what it said in the first', () => {
  const cause = new Error('EIO: i/o error, write', { cause: 'a worn disk' })
  const fault = new Fault('io-error', 'it cannot be written', {
    cause, retry: 'later', advice: 'Look at the disk.' })
  const again = faultOfMessage(structuredClone(faultMessage(fault)))
  const { code, retry, advice } = again
  assert.deepEqual({ code, retry, advice }, {
    code: 'io-error', retry: 'later', advice: 'Look at the disk.' })
  assert.deepEqual(causesOf(again), ['it cannot be written', 'EIO: i/o error, write: a worn disk'])
})

test('it needs neither advice nor cause', () => {
  const again = faultOfMessage(structuredClone(faultMessage(new Fault('no-space', 'full'))))
  assert.equal(again.advice, undefined)
  assert.deepEqual(causesOf(again), ['full'])
})
