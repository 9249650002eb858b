import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { generateKeyPairSync } from 'node:crypto'
import { seededRandom } from '../../base/random.ts'
import { Secret } from '../../base/secret.ts'
import { testSigner } from '../testing/signers.ts'
import {
  isSignedBy, newSigningKey, parseFingerprint, parsePublicKey, parseSigningKey,
} from './signing-key.ts'

/** RFC 8032 §7.1, test 2. */
const VECTOR = {
  seed: '4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb',
  publicKey: '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c',
  message: '72',
  signature: '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da' +
    '085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
}

const bytes = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex, 'hex'))

test('a key signs as RFC 8032 says', () => {
  const signer = parseSigningKey(newSigningKey(() => bytes(VECTOR.seed)), 'the vector')
  assert.equal(Buffer.from(signer.sign(bytes(VECTOR.message))).toString('hex'), VECTOR.signature)
  const der = Buffer.from(signer.publicKey.pem.split('\n')[1] ?? '', 'base64')
  assert.equal(der.subarray(12).toString('hex'), VECTOR.publicKey)
  assert.ok(isSignedBy(signer.publicKey, bytes(VECTOR.message), bytes(VECTOR.signature)))
  assert.ok(!isSignedBy(signer.publicKey, bytes('73'), bytes(VECTOR.signature)))
  assert.ok(!isSignedBy(signer.publicKey, bytes(VECTOR.message), new Uint8Array(64)))
  assert.ok(!isSignedBy(signer.publicKey, bytes(VECTOR.message), new Uint8Array(3)))
})

test('a private key is shown nowhere', () => {
  const pem = newSigningKey(seededRandom(1))
  const shown = `${String(pem)} ${inspect(pem)} ${inspect(testSigner(), { depth: 9 })}`
  const body = pem.reveal().split('\n')[1] ?? 'none'
  assert.ok(!shown.includes(body) && !JSON.stringify({ pem, key: testSigner() }).includes(body))
})

test('what is no private key of Ed25519 is refused and not echoed', () => {
  const rsa = generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey
    .export({ type: 'pkcs8', format: 'pem' })
  const locked = generateKeyPairSync('ed25519').privateKey.export({
    type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' })
  for (const text of ['', 'hunter2', String(rsa), String(locked), testSigner().publicKey.pem]) {
    assert.throws(() => parseSigningKey(new Secret(text), 'key'), (error: Error) => {
      assert.match(String(error), /key holds/)
      return !error.message.includes('hunter2')
    })
  }
})

test('a public key is read in one spelling alone', () => {
  const { pem, fingerprint } = testSigner().publicKey
  assert.equal(parsePublicKey(pem)?.fingerprint, fingerprint)
  for (const other of [
    '', pem.trim(), `${pem}\n`, pem.replace('PUBLIC', 'PRIVATE'), pem.replace('MCow', 'MCox'),
    pem.replace('\n', '\r\n'), pem.replace(/=?\n-----END/, 'A\n-----END'),
  ]) assert.equal(parsePublicKey(other), undefined, other)
})

test('a fingerprint is read as people write it', () => {
  const { fingerprint } = testSigner().publicKey
  const spaced = fingerprint.toUpperCase().replace(/(..)(?=.)/g, '$1:')
  assert.equal(parseFingerprint(spaced), fingerprint)
  assert.equal(parseFingerprint(` SHA256:${fingerprint} `), fingerprint)
  assert.notEqual(testSigner(2).publicKey.fingerprint, fingerprint)
  for (const bad of ['', 'abc', `${fingerprint}0`, 'g'.repeat(64)]) {
    assert.equal(parseFingerprint(bad), undefined)
  }
})
