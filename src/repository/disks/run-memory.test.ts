import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { RunMemory } from './run-memory.ts'

test('memory of the same length is used again', () => {
  const memory = new RunMemory()
  assert.equal(memory.take(8), undefined)
  const [eight, nine] = [new ArrayBuffer(8), new ArrayBuffer(9)]
  memory.giveBack(eight)
  memory.giveBack(nine)
  assert.equal(memory.take(9), nine)
  assert.equal(memory.take(9), undefined) // and the eight bytes went for it
  assert.equal(eight.detached, true)
  assert.equal(memory.take(8), undefined)
})
