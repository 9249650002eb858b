import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import fc from 'fast-check'
import { canonicalJson } from '../../base/canonical-json.ts'
import { isFault } from '../../base/fault.ts'
import { GRADES } from '../grade-scale.ts'
import { anyEvidence } from '../testing/any-evidence.ts'
import { SAMPLE_POINT_ID, sampleEvidence } from '../testing/sample-evidence.ts'
import { testSigner } from '../testing/signers.ts'
import type { Claim, Verdict } from '../verdict.ts'
import { MAX_ENVELOPE_BYTES, signEnvelope, signedBytes } from './envelope.ts'
import { readStatement, signStatement } from './statement-codec.ts'
import type { ChainPlace, PointStatement, Statement } from './statement.ts'

const signer = testSigner()
const D = { a: 'a'.repeat(64), b: 'b'.repeat(64) }

const sample: PointStatement = {
  kind: 'point', sequence: 1, previous: null, repositoryId: D.a,
  subjects: [{ name: '/disks/vda', digest: D.a }, { name: '/machine.json', digest: D.b }],
  evidence: sampleEvidence(),
}

const anyDigest = fc.uint8Array({ minLength: 32, maxLength: 32 })
  .map((bytes) => Buffer.from(bytes).toString('hex'))
const anyPlace: fc.Arbitrary<ChainPlace> = fc.oneof(
  fc.constant({ sequence: 1, previous: null }),
  fc.record({ sequence: fc.integer({ min: 2, max: 1e9 }), previous: anyDigest }))
const anyId = fc.uuid()
const anyName = fc.string({ maxLength: 60 })
const anyTime = fc.constant('2026-08-01T10:00:01.123Z')

const anyClaim: fc.Arbitrary<Claim> = fc.record({
  kind: fc.constantFrom('file-system', 'application'), subject: anyName })
const anyVerdict: fc.Arbitrary<Verdict> = fc.record({
  verdict: fc.constantFrom('proven', 'refuted', 'not-proven'),
  grade: fc.constantFrom(...GRADES), effective: fc.constantFrom(...GRADES),
  checks: fc.array(fc.record({
    name: anyName, claim: anyClaim, detail: anyName,
    answer: fc.constantFrom('confirms', 'contradicts', 'silent'),
  }), { maxLength: 3 }),
  open: fc.array(anyClaim, { maxLength: 3 }),
})

const anyStatement: fc.Arbitrary<Statement> = fc.oneof(
  fc.record({
    kind: fc.constant('point' as const), place: anyPlace, repositoryId: anyDigest,
    subjects: fc.uniqueArray(fc.record({ name: anyName, digest: anyDigest }),
      { selector: ({ name }) => name, minLength: 1, maxLength: 5 }),
    evidence: anyEvidence,
  }).map(({ place, ...rest }) => ({ ...rest, ...place })),
  fc.record({
    kind: fc.constant('completion' as const), place: anyPlace, repositoryId: anyDigest,
    pointId: anyId, digest: anyDigest, machine: anyName, completedAt: anyTime,
    applications: fc.array(fc.record({
      name: anyName, outcome: fc.constantFrom('told', 'failed'), detail: anyName }),
    { maxLength: 3 }),
  }).map(({ place, ...rest }) => ({ ...rest, ...place })),
  fc.record({
    kind: fc.constant('verdict' as const), repositoryId: anyDigest, pointId: anyId,
    digest: anyDigest, machine: anyName, checkedAt: anyTime, verdict: anyVerdict,
  }),
  fc.record({
    kind: fc.constant('tombstones' as const), repositoryId: anyDigest, machine: anyName,
    tombstones: fc.uniqueArray(fc.record({
      pointId: anyId, digest: anyDigest, place: anyPlace, forgottenAt: anyTime,
      signer: fc.constantFrom(signer.publicKey.fingerprint),
      because: fc.constantFrom('rules', 'named'),
    }).map(({ place, ...rest }) => ({ ...rest, ...place })),
    { selector: ({ pointId }) => pointId, minLength: 1, maxLength: 4 }),
  }))

suite('a signed statement', () => {
  test('is an envelope round an in-toto statement, signed over both type and payload', () => {
    const envelope = JSON.parse(signStatement(sample, signer).envelope) as {
      readonly payload: string; readonly payloadType: string }
    assert.equal(envelope.payloadType, 'application/vnd.in-toto+json')
    const payload = Buffer.from(envelope.payload, 'base64')
    const statement = JSON.parse(payload.toString()) as Record<string, unknown>
    assert.equal(statement['_type'], 'https://in-toto.io/Statement/v1')
    assert.deepEqual(statement['subject'], [
      { name: '/disks/vda', digest: { sha256: D.a } },
      { name: '/machine.json', digest: { sha256: D.b } }])
    // The example of the specification of DSSE, with our type.
    assert.equal(Buffer.from(signedBytes(Buffer.from('hello world'))).toString(),
      'DSSEv1 28 application/vnd.in-toto+json 11 hello world')
  })

  test('comes back as it was, genuine, and the same is signed the same', () => {
    fc.assert(fc.property(anyStatement, (statement) => {
      const { envelope, digest } = signStatement(statement, signer)
      const read = readStatement(envelope, 'it')
      assert.equal(canonicalJson(read.statement), canonicalJson(statement))
      assert.deepEqual({ ...read, statement: null }, {
        statement: null, digest, signer: signer.publicKey.fingerprint, isGenuine: true })
      assert.equal(signStatement(read.statement, signer).envelope, envelope)
    }), { numRuns: 300 })
  })

  test('with any character exchanged is refused, or not genuine', () => {
    const { envelope, digest } = signStatement(sample, signer)
    fc.assert(fc.property(fc.nat(envelope.length - 1), fc.string({ minLength: 1, maxLength: 1 }),
      (at, other) => {
        fc.pre(envelope[at] !== other)
        const changed = envelope.slice(0, at) + other + envelope.slice(at + 1)
        try {
          const read = readStatement(changed, 'it')
          assert.ok(!read.isGenuine || read.digest === digest)
          // JSON has several spellings of a text, but no other payload may pass.
          assert.ok(!read.isGenuine || canonicalJson(JSON.parse(changed)) === envelope)
        } catch (error) {
          assert.ok(isFault(error, 'evidence-invalid'), String(error))
        }
      }), { numRuns: 2000 })
  })

  test('under another key than it names is not genuine', () => {
    const own = JSON.parse(signStatement(sample, signer).envelope) as {
      readonly payload: string }
    const forged = signEnvelope(Buffer.from(own.payload, 'base64'), testSigner(2))
    assert.equal(readStatement(forged, 'it').isGenuine, false)
    assert.equal(readStatement(forged, 'it').signer, signer.publicKey.fingerprint)
    const named = forged.replace(/"keyid":"[0-9a-f]+"/,
      `"keyid":"${signer.publicKey.fingerprint}"`)
    assert.equal(readStatement(named, 'it').isGenuine, false)
  })

  const { envelope } = signStatement(sample, signer)
  const payloadOf = (spoil: (it: Record<string, Record<string, unknown>>) => void): string => {
    const { payload } = JSON.parse(envelope) as { readonly payload: string }
    const value = JSON.parse(Buffer.from(payload, 'base64').toString()) as
      Record<string, Record<string, unknown>>
    spoil(value)
    return signEnvelope(Buffer.from(JSON.stringify(value)), signer)
  }
  const predicate = (changes: object): string => payloadOf((it) => {
    Object.assign(it['predicate'] ?? {}, changes)
  })
  const bad: Readonly<Record<string, string>> = {
    'nothing': '', 'no JSON': '{', 'a list': '[]', 'a bomb of depth': '['.repeat(10_000),
    'too long': ' '.repeat(MAX_ENVELOPE_BYTES + 1),
    'an unknown key': envelope.replace('{', '{"grade":"application",'),
    'another type of payload': envelope.replace('vnd.in-toto+json', 'json'),
    'no signature': envelope.replace(/"signatures":\[.*\]/, '"signatures":[]'),
    'two signatures': envelope.replace(/"signatures":\[(.*)\]/, '"signatures":[$1,$1]'),
    'a short signature': envelope.replace(/"sig":"..../, '"sig":"'),
    'base64 with a gap': envelope.replace('"payload":"', '"payload":" '),
    'a payload that is no statement': signEnvelope(Buffer.from('{}'), signer),
    'another statement type': payloadOf((it) => { Object.assign(it, { _type: 'x' }) }),
    'another predicate': payloadOf((it) => { Object.assign(it, { predicateType: 'x' }) }),
    'no subject': payloadOf((it) => { Object.assign(it, { subject: [] }) }),
    'one subject twice': payloadOf((it) => {
      const one = { name: 'x', digest: { sha256: D.a } }
      Object.assign(it, { subject: [one, one] }) }),
    'a number below the first': predicate({ sequence: 0 }),
    'a number beyond all': predicate({ sequence: 2 ** 60, previous: D.a }),
    'a first that has one before it': predicate({ previous: D.a }),
    'a second that has none before it': predicate({ sequence: 2 }),
    'a previous that is no digest': predicate({ sequence: 2, previous: '../x' }),
    'a key of another kind': predicate({ signer: { publicKey: 'ssh-rsa AAAA' } }),
    'evidence that is none': predicate({ evidence: { version: 1 } }),
  }
  for (const [name, text] of Object.entries(bad)) {
    test(`is refused: ${name}`, () => {
      assert.throws(() => readStatement(text, 'it'), { code: 'evidence-invalid' })
    })
  }

  test('over its bounds is not signed', () => {
    const subjects = Array.from({ length: 301 }, (_, n) => ({ name: `/${n}`, digest: D.a }))
    assert.throws(() => signStatement({ ...sample, subjects }, signer), {
      code: 'evidence-invalid' })
    const machine = { name: 'x'.repeat(10_000), platform: 'qemu' }
    const evidence = sampleEvidence({ machine })
    assert.throws(() => signStatement({ ...sample, evidence }, signer), {
      code: 'evidence-invalid' })
  })

  test('tombstones that fit no subject are refused', () => {
    const stone = {
      pointId: SAMPLE_POINT_ID, digest: D.a, sequence: 1, previous: null,
      signer: signer.publicKey.fingerprint, forgottenAt: '2026-08-01T10:00:01Z',
      because: 'named' as const }
    const { envelope } = signStatement(
      { kind: 'tombstones', repositoryId: D.a, machine: 'db1', tombstones: [stone] }, signer)
    const { payload } = JSON.parse(envelope) as { readonly payload: string }
    const value = Buffer.from(payload, 'base64').toString()
    for (const other of [value.replace(SAMPLE_POINT_ID, 'no-point'),
      value.replace(/"forgotten":\[.*?\]/, '"forgotten":[]')]) {
      assert.notEqual(other, value)
      const changed = signEnvelope(Buffer.from(other), signer)
      assert.throws(() => readStatement(changed, 'it'), { code: 'evidence-invalid' })
    }
  })
})
