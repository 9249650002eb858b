import assert from 'node:assert/strict'
import { test } from 'node:test'
import { z } from 'zod'
import { checked } from './checked.ts'

const schema = z.strictObject({ list: z.array(z.strictObject({ size: z.int() })) })

test('what fits comes back as it is', () => {
  assert.deepEqual(
    checked(schema, { list: [{ size: 3 }] }, 'it', 'config-invalid'), { list: [{ size: 3 }] })
})

test('what does not fit is a fault that names the place and not the value', () => {
  assert.throws(
    () => checked(schema, { list: [{ size: 'secret' }] }, 'the file', 'config-invalid'),
    (error: Error) => {
      assert.match(error.message, /^the file cannot be understood at list\.0\.size: /)
      assert.doesNotMatch(error.message, /secret/)
      return true
    })
})

test('a key with control characters does not reach the terminal', () => {
  assert.throws(
    () => checked(z.strictObject({}), { '\u001b[2J': 1 }, 'the file', 'config-invalid'),
    (error: Error) => !error.message.includes('\u001b'))
})
