import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { authenticate, isAuthentic } from './poly1305.ts'

const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'))

// RFC 8439 §2.5.2.
const KEY = hex('85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b')
const MESSAGE = new TextEncoder().encode('Cryptographic Forum Research Group')
const TAG = hex('a8061dc1305136c6c22b8baf0c0127a9')

test('the tag is that of the standard, and no other fits', () => {
  const tag = new Uint8Array(16)
  authenticate(tag, MESSAGE, KEY)
  assert.deepEqual(tag, TAG)
  assert.equal(isAuthentic(tag, MESSAGE, KEY), true)
  assert.equal(isAuthentic(tag, MESSAGE.subarray(1), KEY), false)
  tag[15] = (tag[15] ?? 0) ^ 1
  assert.equal(isAuthentic(tag, MESSAGE, KEY), false)
})

test('what has another length never reaches the addon, which trusts its caller', () => {
  const wrong: readonly [Uint8Array, Uint8Array][] =
    [[new Uint8Array(15), KEY], [new Uint8Array(17), KEY], [TAG, KEY.subarray(1)]]
  for (const [tag, key] of wrong) {
    assert.throws(() => authenticate(tag, MESSAGE, key), assert.AssertionError)
    assert.throws(() => isAuthentic(tag, MESSAGE, key), assert.AssertionError)
  }
})
