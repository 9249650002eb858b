/**
 * DSSE envelopes (Dead Simple Signing Envelope, protocol 1.0.2) with one signature: a payload, its
 * type, and a signature over both.
 */

import { z } from 'zod'
import { canonicalJson } from '../../base/canonical-json.ts'
import { checked } from '../../base/checked.ts'
import { parseJson } from '../../base/json.ts'
import { SIGNATURE_BYTES, type Signer } from './signing-key.ts'

const PAYLOAD_TYPE = 'application/vnd.in-toto+json'

/** The longest payload that is signed or read. */
export const MAX_PAYLOAD_BYTES = 5 * 1024 * 1024
/** Base64 makes four bytes of three; the rest of an envelope is some 250 bytes. */
export const MAX_ENVELOPE_BYTES = Math.ceil(MAX_PAYLOAD_BYTES / 3) * 4 + 4096

export interface Envelope {
  readonly payload: Uint8Array
  /** Which key it claims to be signed with: unauthenticated. */
  readonly keyId: string
  readonly signature: Uint8Array
}

const base64 = z.string().transform((text, context) => {
  const bytes = Buffer.from(text, 'base64')
  // Anything else than the one spelling of these bytes: Buffer skips what it does not know.
  if (bytes.toString('base64') === text) return new Uint8Array(bytes)
  context.addIssue({ code: 'custom', message: 'no base64' })
  return z.NEVER
})

const schema = z.strictObject({
  payload: base64,
  payloadType: z.literal(PAYLOAD_TYPE),
  signatures: z.tuple([z.strictObject({
    keyid: z.string().max(128),
    sig: base64.refine(({ length }) => length === SIGNATURE_BYTES, 'not as long as a signature'),
  })]),
})

/** PAE(type, body) of DSSE: what is signed. */
export function signedBytes(payload: Uint8Array): Uint8Array {
  const head = `DSSEv1 ${Buffer.byteLength(PAYLOAD_TYPE)} ${PAYLOAD_TYPE} ${payload.length} `
  return new Uint8Array(Buffer.concat([Buffer.from(head), payload]))
}

/** The envelope's JSON: the same payload and key give the same text. */
export function signEnvelope(payload: Uint8Array, signer: Signer): string {
  const signature = signer.sign(signedBytes(payload))
  return canonicalJson({
    payload: Buffer.from(payload).toString('base64'),
    payloadType: PAYLOAD_TYPE,
    signatures: [{
      keyid: signer.publicKey.fingerprint, sig: Buffer.from(signature).toString('base64') }],
  })
}

/** Nothing is verified yet. Fault: `evidence-invalid`, naming `what`. */
export function parseEnvelope(bytes: Uint8Array | string, what: string): Envelope {
  const limits = { maxBytes: MAX_ENVELOPE_BYTES, maxDepth: 16 }
  const { payload, signatures: [{ keyid, sig }] } = checked(
    schema, parseJson(bytes, what, 'evidence-invalid', limits), what, 'evidence-invalid')
  return { payload, keyId: keyid, signature: sig }
}
