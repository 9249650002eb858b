import { strict as assert } from 'node:assert'
import { open } from 'node:fs/promises'
import { test } from 'node:test'
import { writeFault } from './write-fault.ts'

test('a full device is no-space', async () => {
  await using full = await open('/dev/full', 'w')
  const cause: unknown = await full.write('x').then(() => assert.fail(), (error) => error)
  assert.equal(writeFault('/dev/full', cause).code, 'no-space')
})
