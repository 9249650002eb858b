import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isFault } from '../../base/fault.ts'
import { seededRandom } from '../../base/random.ts'
import { encodeConfig, newConfig, parseConfig } from './config.ts'
import { isIrreducible, randomPolynomial } from './polynomial.ts'

test('a new config is read as it was written, and no two are alike', () => {
  const random = seededRandom(5)
  const config = newConfig(random)
  assert.deepEqual(parseConfig(encodeConfig(config)), config)
  assert.notEqual(newConfig(random).id, config.id)
  assert.match(Buffer.from(encodeConfig(config)).toString(),
    /^\{"version":2,"id":"[0-9a-f]{64}","chunker_polynomial":"[23][0-9a-f]{13}"\}$/)
})

test('a config of restic, also with fields of other programs, is read', () => {
  const id = 'ab'.repeat(32)
  const json = `{"version":2,"id":"${id}","chunker_polynomial":"25b468838dcb75","append_only":true}`
  assert.deepEqual(parseConfig(Buffer.from(json)), { id, chunkerPolynomial: 0x25b468838dcb75n })
})

test('another version is unsupported and says what to do; a damaged config is damaged', () => {
  const good = { version: 2, id: 'ab'.repeat(32), chunker_polynomial: '25b468838dcb75' }
  const parse = (change: object): unknown =>
    parseConfig(Buffer.from(JSON.stringify({ ...good, ...change })))
  assert.throws(() => parse({ version: 1 }), (error) =>
    isFault(error, 'repository-unsupported') && /migrate/.test(error.advice ?? ''))
  assert.throws(() => parse({ version: 3 }), (error) => isFault(error, 'repository-unsupported'))
  const table = [{ version: '2' }, { id: 'x' }, { id: undefined }, { chunker_polynomial: '' },
    { chunker_polynomial: '25b468838dcb74' }, { chunker_polynomial: '3' },
    { chunker_polynomial: 7 }]
  for (const change of table) {
    assert.throws(() => parse(change), (error) =>
      isFault(error, 'repository-damaged'), JSON.stringify(change))
  }
})

test('a polynomial is irreducible if no product makes it', () => {
  // The default of the chunker's documentation, and its own generated ones.
  for (const known of [0x3da3358b4dc173n, 0x25b468838dcb75n, 0x2377a349cb2427n]) {
    assert.equal(isIrreducible(known), true, known.toString(16))
  }
  const random = seededRandom(11)
  for (let i = 0; i < 20; i++) assert.equal(isIrreducible(randomPolynomial(random)), true)
  const word = (bytes: number): bigint => BigInt(`0x${Buffer.from(random(bytes)).toString('hex')}`)
  for (let degree = 1n; degree <= 26n; degree++) {
    const one = (word(4) & ((1n << degree) - 1n)) | (1n << degree)
    const other = (word(7) & ((1n << (53n - degree)) - 1n)) | (1n << (53n - degree))
    assert.equal(isIrreducible(product(one, other)), false, `${one} times ${other}`)
  }
})

test('a polynomial of another degree is refused, irreducible or not', () => {
  for (const bad of [0n, 1n, 2n, 3n, 7n, 1n << 53n, (1n << 54n) | 0x3da3358b4dc173n]) {
    assert.equal(isIrreducible(bad), false)
  }
})

/** The product over GF(2). */
function product(a: bigint, b: bigint): bigint {
  let result = 0n
  for (let bit = 0n; bit <= 64n; bit++) if (((b >> bit) & 1n) === 1n) result ^= a << bit
  return result
}
