/** The token: what is written is read, and nothing else is taken for one. */

import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { encodeToken, MAX_TOKEN_BYTES, parseToken, reportOf, type HookToken } from './hook-token.ts'

const NONCE = '0123456789abcdef0123456789abcdef'
const TOKEN: HookToken = {
  nonce: NONCE, bootId: '5f1b', count: 3, state: 'thawed', applications: new Map([
    ['postgres', {
      held: { statement: 'a', positions: { beforeCheckpoint: '0/1', atFreeze: '0/2' } },
      thawed: { state: 'thawed', heldThroughout: true, statement: 'b' }, heldMs: 12.5 }],
    ['redis', { held: { statement: 'c', positions: null },
      thawed: { state: 'unknown', detail: 'd' }, heldMs: null }],
    ['mariadb', { held: { code: 'writer-failed', message: 'e' }, thawed: null, heldMs: null }],
  ]) }

const NOTHING = {
  held: { statement: 's', positions: null }, thawed: null, heldMs: null } as const

/** The token as JSON with changes. */
function withFields(fields: Readonly<Record<string, unknown>>): Buffer {
  const whole = JSON.parse(Buffer.from(encodeToken(TOKEN)).toString()) as object
  return Buffer.from(JSON.stringify({ ...whole, ...fields }))
}

suite('a token', () => {
  test('is read as it was written, and what was said is cut to what is kept', () => {
    assert.deepEqual(parseToken(encodeToken(TOKEN)), TOKEN)
    const long = { ...NOTHING, held: { statement: 'x'.repeat(9000), positions: null } }
    const read = parseToken(encodeToken({ ...TOKEN, applications: new Map([['a', long]]) }))
    const { held } = read.applications.get('a') ?? assert.fail('lost')
    assert.ok('statement' in held && held.statement.length === 4096)
  })

  test('that is not whole is none, wherever it ends', () => {
    const bytes = encodeToken(TOKEN)
    for (let length = 0; length < bytes.length - 1; length++) {
      assert.throws(() => parseToken(bytes.subarray(0, length)), { code: 'agent-protocol' })
    }
  })

  const application = (fields: object): object => ({ applications: [
    { name: 'a', ...NOTHING, ...fields }] })
  const wrong: readonly (readonly [string, Readonly<Record<string, unknown>>])[] = [
    ['another version', { version: 2 }],
    ['a nonce that is none', { nonce: NONCE.toUpperCase() }],
    ['a nonce that is a list', { nonce: [NONCE] }],
    ['no nonce at all', { nonce: undefined }],
    ['a state of its own', { state: 'held' }],
    ['a count that is no number', { count: '3' }],
    ['applications that are no list', { applications: {} }],
    ['too many applications', { applications: Array.from({ length: 257 }, (_, index) => ({
      name: String(index), ...NOTHING })) }],
    ['one application twice', { applications: [1, 2].map(() => ({ name: 'a', ...NOTHING })) }],
    ['an application without a name', application({ name: undefined }) as Record<string, unknown>],
    ['a name without end', application({ name: 'x'.repeat(257) }) as Record<string, unknown>],
    ['nothing held', application({ held: null }) as Record<string, unknown>],
    ['a thaw that says nothing', application({ thawed: {} }) as Record<string, unknown>],
    ['a hold in no time', application({ heldMs: -1 }) as Record<string, unknown>],
    ['a hold of text', application({ heldMs: 'long' }) as Record<string, unknown>],
  ]
  for (const [what, fields] of wrong) {
    test(`with ${what} is none`, () => {
      assert.throws(() => parseToken(withFields(fields)), { code: 'agent-protocol' })
    })
  }

  test('that is too long or too deep is none, and quickly', () => {
    const long = Buffer.alloc(MAX_TOKEN_BYTES + 1, ' ')
    const deep = Buffer.from(`{"version":1,"nonce":${'['.repeat(1000)}${']'.repeat(1000)}}`)
    for (const bytes of [long, deep, Buffer.from('null'), Buffer.from([0xff, 0xfe])]) {
      assert.throws(() => parseToken(bytes), { code: 'agent-protocol' })
    }
  })

  test('of another freeze says nothing of this one', () => {
    assert.deepEqual(reportOf(TOKEN, NONCE), { state: 'thawed', applications: TOKEN.applications })
    assert.deepEqual(reportOf(TOKEN, 'f'.repeat(32)),
      { missing: 'the token in the machine is of another freeze' })
    assert.deepEqual(reportOf({ ...TOKEN, nonce: null }, NONCE),
      { missing: 'the token in the machine is of a freeze that nobody had announced' })
  })
})
