import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import fc from 'fast-check'
import { isZero, nonZeroRuns } from './zero.ts'

test('zero is what has no other byte, wherever it would be', () => {
  for (const length of [0, 1, 4096, 65_536, 200_000]) {
    const bytes = new Uint8Array(length)
    assert.ok(isZero(bytes))
    for (const at of [0, length >> 1, length - 1]) {
      if (at in bytes) assert.ok(!isZero(bytes.with(at, 1)), `${at} of ${length}`)
    }
  }
})

test('the runs are the blocks of the disk that are not zero, joined', () => {
  const anyBytes = fc.array(fc.nat(199), { maxLength: 8 })
  fc.assert(fc.property(
    anyBytes, fc.nat(200), fc.nat(40), fc.integer({ min: 1, max: 20 }),
    (places, length, offset, blockBytes) => {
      const bytes = new Uint8Array(length)
      for (const place of places) if (place < length) bytes[place] = 1
      const expected = new Uint8Array(length)
      for (const [at, byte] of bytes.entries()) {
        if (byte === 0) continue
        const start = at - ((offset + at) % blockBytes)
        expected.fill(1, Math.max(0, start), start + blockBytes)
      }
      const found = new Uint8Array(length)
      let last = -1
      for (const run of nonZeroRuns(bytes, offset, blockBytes)) {
        assert.ok(run.length > 0 && run.offset > last, 'in order, and apart')
        last = run.offset + run.length
        found.fill(1, run.offset, last)
      }
      assert.deepEqual(found, expected)
    }))
})
