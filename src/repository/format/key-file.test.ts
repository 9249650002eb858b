import assert from 'node:assert/strict'
import { scryptSync } from 'node:crypto'
import { test } from 'node:test'
import { isFault } from '../../base/fault.ts'
import { seededRandom } from '../../base/random.ts'
import { Secret } from '../../base/secret.ts'
import { MasterKey } from './crypto.ts'
import { goTime } from './go-json.ts'
import { encodeKeyFile, openMasterKey, parseKeyFile, sealMasterKey } from './key-file.ts'

const signal = new AbortController().signal
const random = seededRandom(1)
const master = new MasterKey(random(64))
const origin = {
  created: goTime(1_700_000_000_000), username: 'root', hostname: 'vault',
  cost: { N: 1024, r: 8, p: 1 },
}

test('the master key comes out of its key file with the password, and with no other', async () => {
  const file = await sealMasterKey(master, new Secret('pass word'), origin, random, signal)
  const parsed = parseKeyFile(encodeKeyFile(file), 'it')
  assert.deepEqual(parsed, file)
  const opened = await openMasterKey(parsed, new Secret('pass word'), 'it', signal)
  assert.deepEqual(opened?.toBytes(), master.toBytes())
  assert.equal(await openMasterKey(parsed, new Secret('password'), 'it', signal), undefined)
})

test('a key file that does not say who made it, and when, opens like any other', async () => {
  const file = await sealMasterKey(master, new Secret('x'), origin, random, signal)
  const all = JSON.parse(Buffer.from(encodeKeyFile(file)).toString()) as object
  const json = { ...all, created: undefined, username: undefined, hostname: undefined }
  const parsed = parseKeyFile(Buffer.from(JSON.stringify(json)), 'it')
  assert.deepEqual([parsed.username, parsed.hostname], ['', ''])
  const opened = await openMasterKey(parsed, new Secret('x'), 'it', signal)
  assert.deepEqual(opened?.toBytes(), master.toBytes())
})

test('scrypt with any cost that a reader can afford is accepted', async () => {
  for (const cost of [{ N: 2, r: 1, p: 1 }, { N: 16_384, r: 1, p: 7 }, { N: 64, r: 100, p: 3 }]) {
    const file = await sealMasterKey(master, new Secret('x'), { ...origin, cost }, random, signal)
    const parsed = parseKeyFile(encodeKeyFile(file), 'it')
    const opened = await openMasterKey(parsed, new Secret('x'), 'it', signal)
    assert.deepEqual(opened?.toBytes(), master.toBytes())
  }
})

test('a key file has the fields of restic in its order', async () => {
  const file = await sealMasterKey(master, new Secret('x'), origin, random, signal)
  assert.match(Buffer.from(encodeKeyFile(file)).toString(), new RegExp(
    '^\\{"created":"2023-11-14T22:13:20Z","username":"root","hostname":"vault","kdf":"scrypt",' +
    '"N":1024,"r":8,"p":1,"salt":"[^"]{88}","data":"[^"]+"\\}$'))
})

test('a hostile key file is refused before it costs memory or time', async () => {
  const file = await sealMasterKey(master, new Secret('x'), origin, random, signal)
  const good = JSON.parse(Buffer.from(encodeKeyFile(file)).toString()) as Record<string, unknown>
  const table: readonly (readonly [string, Record<string, unknown>])[] = [
    ['memory by N', { N: 2 ** 21 }],
    ['memory by r and p, few by N', { N: 2, r: 2 ** 12, p: 2 ** 12 }],
    ['far too much by N', { N: 2 ** 24 }],
    ['memory by r', { r: 2 ** 20 }],
    ['memory by r and p', { N: 2, r: 2 ** 15, p: 2 ** 15 }],
    ['time by p', { N: 2 ** 19, p: 100 }],
    ['N that overflows', { N: 2 ** 53 }],
    ['N that is no power of two', { N: 1000 }],
    ['N of one', { N: 1 }],
    ['no blocks', { r: 0 }],
    ['negative', { p: -1 }],
    ['another derivation', { kdf: 'none' }],
    ['a short salt', { salt: Buffer.alloc(63).toString('base64') }],
    ['a salt that is not base64', { salt: '!' }],
    ['no data', { data: undefined }],
    ['no time', { created: 'x' }],
  ]
  for (const [what, change] of table) {
    const json = Buffer.from(JSON.stringify({ ...good, ...change }))
    assert.throws(() => parseKeyFile(json, 'keys/0'), (error) =>
      isFault(error, 'repository-damaged') && error.message.includes('keys/0'), what)
  }
})

test('a key file that opens and holds no key is damaged, not a wrong password', async () => {
  const file = await sealMasterKey(master, new Secret('x'), origin, random, signal)
  // Another file sealed with the same derived key: what a careless program could have written.
  const userKey = new MasterKey(scryptSync('x', file.salt, 64, file.cost))
  for (const inside of ['{}', 'x', '{"mac":{"k":"","r":""},"encrypt":""}']) {
    const data = userKey.seal(Buffer.from(inside), random)
    await assert.rejects(openMasterKey({ ...file, data }, new Secret('x'), 'it', signal), (error) =>
      isFault(error, 'repository-damaged'))
  }
})

test('an aborted opening ends at once', async () => {
  const file = await sealMasterKey(master, new Secret('x'), origin, random, signal)
  await assert.rejects(openMasterKey(file, new Secret('x'), 'it', AbortSignal.abort()), (error) =>
    isFault(error, 'interrupted'))
})
