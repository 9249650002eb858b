import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { makeZip } from '../testing/make-zip.ts'
import { readZip } from './zip.ts'

/** Made by zipfile of Python 3.11: one file deflated, one stored. */
const PYTHON =
  'UEsDBBQAAAAIAIMYIlx65iBXPQAAADsAAAAKAAAAYmFja3VwLnhtbLNxcnT2Dg2Id/b3DfD3c/ULCVaoyM3JK7ZV' +
  'qtAtTs5IzU20Ug4rLnbOzy3Iz0vNK/FNLUlMSSxJVNK3AwBQSwMEFAAAAAAAgxgiXLMkTpYIAAAACAAAAAoAAABzdG9y' +
  'ZWQudHh0YXMgaXQgaXNQSwECFAMUAAAACACDGCJceuYgVz0AAAA7AAAACgAAAAAAAAAAAAAAgAEAAAAAYmFja3VwLnht' +
  'bFBLAQIUAxQAAAAAAIMYIlyzJE6WCAAAAAgAAAAKAAAAAAAAAAAAAACAAWUAAABzdG9yZWQudHh0UEsFBgAAAAACAAIA' +
  'cAAAAJUAAAAAAA=='
const FAULT = { code: 'platform-protocol' }

test('an archive of Python is read', () => {
  const entries = readZip(Buffer.from(PYTHON, 'base64'), 'it')
  assert.deepEqual(entries.map(({ name, bytes }) => [name, new TextDecoder().decode(bytes)]), [
    ['backup.xml', '<BACKUP_COMPONENTS xmlns="x-schema:#VssComponentMetadata"/>'],
    ['stored.txt', 'as it is']])
})

test('a damaged archive is a fault or unchanged, never another content', () => {
  const good = Buffer.from(PYTHON, 'base64')
  const whole = readZip(good, 'it')
  for (let at = 0; at < good.length; at++) {
    const damaged = Buffer.from(good)
    damaged[at] = (damaged[at] ?? 0) ^ 0xff
    try {
      const entries = readZip(damaged, 'it')
      for (const { bytes } of entries) {
        assert.ok(whole.some((it) => Buffer.compare(it.bytes, bytes) === 0), `byte ${at}`)
      }
    } catch (error) {
      assert.equal((error as { code?: string }).code, 'platform-protocol', `byte ${at}`)
    }
    assert.throws(() => readZip(good.subarray(0, at), 'it'), FAULT)
  }
})

test('what is no archive is a fault', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
    assert.throws(() => readZip(bytes, 'it'), FAULT)
  }))
})

test('an archive that unpacks to too much, or has too many files, is a fault', () => {
  assert.equal(readZip(makeZip([['a', new Uint8Array(8 * 2 ** 20)]]), 'it').length, 1)
  assert.throws(() => readZip(makeZip([['a', new Uint8Array(8 * 2 ** 20 + 1)]]), 'it'), FAULT)
  const five = Array.from({ length: 5 }, (_, n) => [`${n}`, new Uint8Array(8 * 2 ** 20)] as const)
  assert.throws(() => readZip(makeZip(five), 'it'), FAULT)
  const many = Array.from({ length: 257 }, (_, n) => [`${n}`, new Uint8Array(0)] as const)
  assert.throws(() => readZip(makeZip(many), 'it'), FAULT)
  // The directory says less than there is.
  const lying = Buffer.from(makeZip([['a', new Uint8Array(100_000)]]))
  const central = lying.indexOf(Buffer.from('PK\u0001\u0002'))
  lying.writeUInt32LE(10, central + 24)
  assert.throws(() => readZip(lying, 'it'), FAULT)
})
