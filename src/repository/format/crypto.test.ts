import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { Worker } from 'node:worker_threads'
import fc from 'fast-check'
import { isFault } from '../../base/fault.ts'
import { seededRandom } from '../../base/random.ts'
import { KEY_BYTES, MasterKey, SEAL_OVERHEAD_BYTES } from './crypto.ts'

const keyBytes = Uint8Array.from({ length: KEY_BYTES }, (_, i) => i)
const key = new MasterKey(keyBytes)

test('what is sealed opens again, and is 32 bytes longer', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 5000 }), fc.integer(), (plaintext, seed) => {
    const sealed = key.seal(plaintext, seededRandom(seed))
    assert.equal(sealed.length, plaintext.length + SEAL_OVERHEAD_BYTES)
    assert.deepEqual(new Uint8Array(key.open(sealed, 'it')), plaintext)
  }))
})

test('a sealed text has the bytes that this key, nonce and plaintext have always given', () => {
  const sealed = key.seal(Buffer.from('stillpoint'), () => new Uint8Array(16).fill(0xa5))
  assert.equal(Buffer.from(sealed).toString('hex'), GOLDEN)
})

test('the Poly1305-AES tag is that of the published test vector', () => {
  // D. J. Bernstein, "The Poly1305-AES message-authentication code", appendix B:
  // r, k, nonce and a message of two bytes, taken here as the ciphertext.
  const bytes = new Uint8Array(KEY_BYTES)
  bytes.set(Buffer.from('ec074c835580741701425b623235add6', 'hex'), 32)
  bytes.set(Buffer.from('851fc40c3467ac0be05cc20404f3f700', 'hex'), 48)
  const sealed = Buffer.concat([
    Buffer.from('fb447350c4e868c52ac3275cf9d4327e', 'hex'), Buffer.from('f3f6', 'hex'),
    Buffer.from('f4c633c3044fc145f84f335cb81953de', 'hex'),
  ])
  assert.notEqual(new MasterKey(bytes).tryOpen(sealed), undefined)
  sealed[17] = 0xf7
  assert.equal(new MasterKey(bytes).tryOpen(sealed), undefined)
})

test('any changed bit, a missing byte, or another key is noticed', () => {
  const sealed = key.seal(Buffer.from('a secret'), seededRandom(1))
  for (let bit = 0; bit < sealed.length * 8; bit++) {
    const changed = sealed.slice()
    changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    assert.equal(key.tryOpen(changed), undefined, `bit ${bit}`)
  }
  for (const length of [0, 16, 31, 32, sealed.length - 1]) {
    assert.equal(key.tryOpen(sealed.subarray(0, length)), undefined, `${length} bytes`)
  }
  assert.equal(new MasterKey(keyBytes.toReversed()).tryOpen(sealed), undefined)
  assert.throws(() => key.open(sealed.subarray(1), 'index/0'), (error) =>
    isFault(error, 'repository-damaged') && error.message.includes('index/0'))
})

test('a source of randomness that returns zeros is not used', () => {
  assert.throws(() => key.seal(new Uint8Array(1), (length) => new Uint8Array(length)))
})

test('the key does not print', () => {
  assert.doesNotMatch(inspect(key, { depth: 9, showHidden: true }), /\b1f\b|31,|0x1f/)
  assert.doesNotMatch(JSON.stringify(key), /\d/)
})

test('a worker thread opens with the bytes of the key what this one sealed', async () => {
  const file = new URL('./crypto.ts', import.meta.url).href
  const source = `import { parentPort, workerData } from 'node:worker_threads'
    import { MasterKey } from ${JSON.stringify(file)}
    parentPort.postMessage(new MasterKey(workerData.key).open(workerData.sealed, 'it'))`
  const sealed = key.seal(Buffer.from('across'), seededRandom(2))
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`), {
    workerData: { key: key.toBytes(), sealed } })
  const opened = await new Promise<Uint8Array>((resolve, reject) => {
    worker.once('message', resolve)
    worker.once('error', reject)
  })
  await worker.terminate()
  assert.equal(Buffer.from(opened).toString(), 'across')
})

/** Made with this code once; restic opens what it seals (test/interop). */
const GOLDEN =
  'a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5839325a9eb76c4c94c3c9cbc65e772562d4b3b51bc73e12f5b28'
