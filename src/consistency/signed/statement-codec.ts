/** Statements as signed bytes, and a strict reader of foreign ones. */

import { hash } from 'node:crypto'
import { z } from 'zod'
import { canonicalJson } from '../../base/canonical-json.ts'
import { checked } from '../../base/checked.ts'
import { Fault, isFault } from '../../base/fault.ts'
import { parseJson } from '../../base/json.ts'
import { unreachable } from '../../base/unreachable.ts'
import { parseEvidence } from '../evidence-codec.ts'
import type { Evidence } from '../evidence.ts'
import { GRADES } from '../grade-scale.ts'
import { MAX_PAYLOAD_BYTES, parseEnvelope, signedBytes, signEnvelope } from './envelope.ts'
import {
  isSignedBy, parsePublicKey, type Fingerprint, type PublicKey, type Signer,
} from './signing-key.ts'
import {
  MAX_SEQUENCE, MAX_TOMBSTONES, type ChainPlace, type Digest, type PointReference,
  type SignedStatement, type Statement, type Subject,
} from './statement.ts'

const STATEMENT_TYPE = 'https://in-toto.io/Statement/v1'
const PREDICATE = 'urn:stillpoint:'
const TYPES = {
  point: `${PREDICATE}restore-point:1`,
  completion: `${PREDICATE}completion:1`,
  verdict: `${PREDICATE}verdict:1`,
  tombstones: `${PREDICATE}tombstones:1`,
} as const

const digest = z.string().regex(/^[0-9a-f]{64}$/)
const fingerprint = digest.transform((digits) => digits as Fingerprint)
/** Claims of one point, each checked in a few ways. */
const MAX_CHECKS = 2000

const uuid = z.string().regex(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
const name = z.string().max(256)
const at = z.string().regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$/)
  .refine((time) => !Number.isNaN(Date.parse(time)), 'no such time')
const publicKey = z.string().max(256).transform((pem, context): PublicKey => {
  const key = parsePublicKey(pem)
  if (key !== undefined) return key
  context.addIssue({ code: 'custom', message: 'no public key of Ed25519' })
  return z.NEVER
})
const signer = z.strictObject({ publicKey })
const place = {
  sequence: z.int().min(1).max(MAX_SEQUENCE),
  previous: digest.nullable(),
}

function isPlace({ sequence, previous }: ChainPlace): boolean {
  return (sequence === 1) === (previous === null)
}

const NO_PLACE = 'the first names no evidence before it, and all others do'

const statement = <T extends z.ZodType, N extends string>(
  type: N, subjects: number, predicate: T) => z.strictObject({
  _type: z.literal(STATEMENT_TYPE),
  subject: z.array(z.strictObject({
    name, digest: z.strictObject({ sha256: digest }),
  })).min(1).max(subjects).refine((all) =>
    new Set(all.map((it) => it.name)).size === all.length, 'two subjects of one name'),
  predicateType: z.literal(type),
  predicate,
})

const claim = z.strictObject({
  kind: z.enum(['file-system', 'application', 'disk']), subject: z.string().max(4096) })
const verdict = z.strictObject({
  verdict: z.enum(['proven', 'refuted', 'not-proven']),
  grade: z.enum(GRADES), effective: z.enum(GRADES),
  checks: z.array(z.strictObject({
    name, claim, answer: z.enum(['confirms', 'contradicts', 'silent']),
    detail: z.string().max(4096),
  })).max(MAX_CHECKS),
  open: z.array(claim).max(MAX_CHECKS),
})

const schema = z.discriminatedUnion('predicateType', [
  statement(TYPES.point, 300, z.strictObject({
    ...place, repositoryId: digest, signer, evidence: z.unknown(),
  }).refine(isPlace, NO_PLACE)),
  statement(TYPES.completion, 1, z.strictObject({
    ...place, repositoryId: digest, signer, machine: name, completedAt: at,
    applications: z.array(z.strictObject({
      name, outcome: z.enum(['told', 'failed']), detail: z.string().max(1000) })).max(256),
  }).refine(isPlace, NO_PLACE)),
  statement(TYPES.verdict, 1, z.strictObject({
    repositoryId: digest, signer, machine: name, checkedAt: at, verdict,
  })),
  statement(TYPES.tombstones, MAX_TOMBSTONES, z.strictObject({
    repositoryId: digest, signer, machine: name,
    forgotten: z.array(z.strictObject({
      ...place, signer: fingerprint, forgottenAt: at, because: z.enum(['rules', 'named']),
    }).refine(isPlace, NO_PLACE)).max(MAX_TOMBSTONES),
  })),
])

type Parsed = z.infer<typeof schema>

/**
 * Signs a statement; the envelope's JSON and the digest that later statements name it by. Fault:
 * `evidence-invalid`, `point-invalid` if it is over the bounds, so that nothing is stored that
 * could not be read back.
 */
export function signStatement(
  it: Statement, by: Signer): { readonly envelope: string; readonly digest: Digest } {
  const payload = new TextEncoder().encode(canonicalJson(encode(it, by.publicKey)))
  parsePayload(payload, 'the statement')
  return { envelope: signEnvelope(payload, by), digest: hash('sha256', payload, 'hex') }
}

/**
 * Reads a statement and verifies its signature by the key it carries. A signature that is not that
 * key's is no fault. Fault: `evidence-invalid`, naming `what`.
 */
export function readStatement(bytes: Uint8Array | string, what: string): SignedStatement {
  const { payload, keyId, signature } = parseEnvelope(bytes, what)
  const { statement, key } = parsePayload(payload, what)
  return {
    statement,
    digest: hash('sha256', payload, 'hex'),
    signer: key.fingerprint,
    isGenuine: keyId === key.fingerprint && isSignedBy(key, signedBytes(payload), signature),
  }
}

function encode(it: Statement, { pem }: PublicKey): unknown {
  const frame = (subject: readonly Subject[], predicate: object): unknown => ({
    _type: STATEMENT_TYPE,
    subject: subject.map(({ name, digest }) => ({ name, digest: { sha256: digest } })),
    predicateType: TYPES[it.kind],
    predicate: { ...predicate, repositoryId: it.repositoryId, signer: { publicKey: pem } },
  })
  switch (it.kind) {
    case 'point': {
      const { evidence, sequence, previous } = it
      return frame(it.subjects, { evidence, sequence, previous })
    }
    case 'completion': {
      const { machine, completedAt, applications, sequence, previous } = it
      return frame([{ name: it.pointId, digest: it.digest }],
        { machine, completedAt, applications, sequence, previous })
    }
    case 'verdict': {
      const { machine, checkedAt, verdict } = it
      return frame([{ name: it.pointId, digest: it.digest }], { machine, checkedAt, verdict })
    }
    case 'tombstones': return frame(
      it.tombstones.map(({ pointId, digest }) => ({ name: pointId, digest })), {
        machine: it.machine,
        forgotten: it.tombstones.map(({ sequence, previous, signer, forgottenAt, because }) =>
          ({ sequence, previous, signer, forgottenAt, because })),
      })
    default: return unreachable(it)
  }
}

function parsePayload(
  payload: Uint8Array, what: string): { readonly statement: Statement; readonly key: PublicKey } {
  const limits = { maxBytes: MAX_PAYLOAD_BYTES, maxDepth: 20 }
  const value = checked<Parsed>(
    schema, parseJson(payload, what, 'evidence-invalid', limits), what, 'evidence-invalid')
  return { statement: statementOf(value, what), key: value.predicate.signer.publicKey }
}

function statementOf(value: Parsed, what: string): Statement {
  const subjects = value.subject.map(({ name, digest }) => ({ name, digest: digest.sha256 }))
  switch (value.predicateType) {
    case TYPES.point: {
      const { repositoryId, sequence, previous, evidence } = value.predicate
      return {
        kind: 'point', subjects, repositoryId, sequence, previous,
        evidence: evidenceOf(evidence, what),
      }
    }
    case TYPES.completion: {
      const { signer: _, ...rest } = value.predicate
      return { kind: 'completion', ...onlyReference(subjects, what), ...rest }
    }
    case TYPES.verdict: {
      const { signer: _, ...rest } = value.predicate
      return { kind: 'verdict', ...onlyReference(subjects, what), ...rest }
    }
    case TYPES.tombstones: {
      const { repositoryId, machine, forgotten } = value.predicate
      if (forgotten.length !== subjects.length) throw invalid(what, 'its lists differ in length')
      const tombstones = references(subjects, what).flatMap((reference, at) => {
        const tombstone = forgotten[at]
        return tombstone === undefined ? [] : [{ ...reference, ...tombstone }]
      })
      return { kind: 'tombstones', repositoryId, machine, tombstones }
    }
    default: return unreachable(value)
  }
}

function onlyReference(subjects: readonly Subject[], what: string): PointReference {
  const [reference] = references(subjects, what)
  if (reference === undefined) throw invalid(what, 'it is about nothing')
  return reference
}

function references(subjects: readonly Subject[], what: string): readonly PointReference[] {
  return subjects.map(({ name, digest }) => {
    if (!uuid.safeParse(name).success) throw invalid(what, 'a subject is no point')
    return { pointId: name, digest }
  })
}

function evidenceOf(value: unknown, what: string): Evidence {
  try {
    return parseEvidence(value)
  } catch (error) {
    if (!isFault(error, 'point-invalid')) throw error
    throw invalid(what, error.message)
  }
}

function invalid(what: string, why: string): Fault {
  return new Fault('evidence-invalid', `${what} cannot be understood: ${why}`)
}
