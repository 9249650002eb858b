import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { temporaryFolder } from '../src/providers/testing/mod.ts'
import { WITHOUT_HOOKS } from './source-tree.ts'

const WAIT = 'await new Promise((resolve) => setTimeout(resolve, 20))'

/** Bodies of tests, and what becomes of a file of such a test and a sound one. */
const BODIES: readonly (readonly [what: string, body: string, status: number])[] = [
  ['a sound test', WAIT, 0],
  ['a test that fails', 'assert.equal(1, 2)', 1],
  ['a rejected promise that nobody awaits', `Promise.reject(new Error('stray')); ${WAIT}`, 1],
  ['an error thrown by a timer', `setTimeout(() => { throw new Error('stray') }, 1); ${WAIT}`, 1],
  ['an error thrown after the test', "setTimeout(() => { throw new Error('stray') }, 5)", 1],
  ['a promise that no hook marks',
    'assert.deepEqual(Object.getOwnPropertySymbols(new Promise(() => {})), [])', 0],
]

for (const [what, body, status] of BODIES) {
  test(`${what} ends a file with ${status}`, async () => {
    await using folder = await temporaryFolder()
    const path = join(folder.path, 'a.test.mjs')
    writeFileSync(path, `import assert from 'node:assert/strict'
import { test } from 'node:test'
test('sound before', () => {})
test('this', async () => { ${body} })
test('sound after', async () => { ${WAIT} })
`)
    const { NODE_TEST_CONTEXT: _, ...env } = process.env
    const args = [...WITHOUT_HOOKS, '--test', path]
    const result = spawnSync(process.execPath, args, { env, encoding: 'utf8' })
    assert.equal(result.status, status, result.stdout)
  })
}

test('a suite is begun before its tests and ended before the next one', async () => {
  await using folder = await temporaryFolder()
  const path = join(folder.path, 'a.test.mjs')
  writeFileSync(path, `import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
const seen = []
before(async () => { ${WAIT}; seen.push('begun') })
for (const name of ['a', 'b']) suite(name, () => {
  before(async () => { ${WAIT}; seen.push(name) })
  after(() => { seen.push('end of ' + name) })
  test('in it', async () => { ${WAIT}; seen.push('in ' + name) })
})
test('last', () => assert.deepEqual(
  seen, ['begun', 'a', 'in a', 'end of a', 'b', 'in b', 'end of b']))
`)
  const { NODE_TEST_CONTEXT: _, ...env } = process.env
  const args = [...WITHOUT_HOOKS, '--test', path]
  const result = spawnSync(process.execPath, args, { env, encoding: 'utf8' })
  assert.equal(result.status, 0, result.stdout)
})
