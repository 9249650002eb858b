import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { LineSplitter } from './lines.ts'

const limits = { maxBytes: 64, from: 'the peer', code: 'platform-protocol' } as const

test('lines are the same however the stream is cut into chunks', () => {
  const line = fc.string({ maxLength: 10, unit: fc.constantFrom('a', 'b', '\u00e9', '{') })
  fc.assert(fc.property(fc.array(line), fc.array(fc.nat(80)), (lines, cuts) => {
    const bytes = Buffer.from(lines.map((text) => `${text}\r\n`).join(''))
    const splitter = new LineSplitter(limits)
    const got: string[] = []
    let at = 0
    for (const cut of cuts.toSorted((a, b) => a - b)) {
      const end = Math.min(Math.max(cut, at), bytes.length)
      got.push(...splitter.push(bytes.subarray(at, end)).map(String))
      at = end
    }
    got.push(...splitter.push(bytes.subarray(at)).map(String))
    assert.deepEqual(got, lines.filter((text) => text !== ''))
  }))
})

test('a line over the bound is a fault, also before its end has come', () => {
  const splitter = new LineSplitter(limits)
  assert.deepEqual(splitter.push(Buffer.from(`${'x'.repeat(64)}\n`)).map(String), ['x'.repeat(64)])
  splitter.push(Buffer.from('x'.repeat(60)))
  assert.throws(() => splitter.push(Buffer.from('yyyyy')), { code: 'platform-protocol' })
})

test('a line that comes byte by byte takes no more memory than its bytes', () => {
  const maxBytes = 1024 * 1024
  const splitter = new LineSplitter({ ...limits, maxBytes })
  const before = process.memoryUsage()
  for (let i = 0; i < maxBytes; i++) splitter.push(new Uint8Array([0x78])) // as reads bring them
  const after = process.memoryUsage()
  const grown = after.heapUsed + after.external - before.heapUsed - before.external
  assert.ok(grown < 64 * maxBytes, `${grown} bytes`)
  assert.equal(splitter.push(Buffer.from('\n'))[0]?.length, maxBytes)
})
