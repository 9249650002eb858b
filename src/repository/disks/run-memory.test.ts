import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import type { BlockSource } from '../../disk/mod.ts'
import { RunMemory } from './run-memory.ts'

const signal = new AbortController().signal

/** Notes what it was given and what it gave; uses what it is given if it `reuses`. */
function notingSource(reuses: boolean) {
  const given: (ArrayBuffer | undefined)[] = []
  const gave = new Set<ArrayBuffer>()
  const source: BlockSource = {
    name: 'noting', sizeBytes: 1000,
    read: async (_offset, length, _signal, memory) => {
      given.push(memory)
      const bytes = reuses && memory !== undefined ? new Uint8Array(memory) : new Uint8Array(length)
      gave.add(bytes.buffer)
      return bytes
    },
    [Symbol.asyncDispose]: async () => {},
  }
  return { source, given, gave }
}

test('memory of the same length is used again, and what does not fit goes', async () => {
  const { source, given } = notingSource(true)
  const memory = new RunMemory()
  const eight = await memory.read(source, { offset: 0, length: 8 }, signal)
  const other = await memory.read(source, { offset: 8, length: 8 }, signal)
  assert.deepEqual(given, [undefined, undefined])
  memory.giveBack(eight.buffer)
  memory.giveBack(other.buffer)
  assert.equal((await memory.read(source, { offset: 0, length: 8 }, signal)).buffer, eight.buffer)
  await memory.read(source, { offset: 0, length: 9 }, signal)
  assert.equal(other.buffer.detached, true)
  await memory.read(source, { offset: 0, length: 8 }, signal)
  assert.deepEqual(given.slice(3), [undefined, undefined])
})

test('a source that brings its own memory does not make it more and more', async () => {
  const { source, gave } = notingSource(false)
  const memory = new RunMemory()
  for (let n = 0; n < 20; n++) {
    memory.giveBack((await memory.read(source, { offset: 0, length: 8 }, signal)).buffer)
  }
  assert.equal(gave.size, 20)
  assert.equal([...gave].filter(({ detached }) => !detached).length, 1)
})
