/** What signature, subjects and chain say of a restore point (docs/evidence.md). Pure. */

import { printable } from '../base/text.ts'
import {
  followChain, isWhole, type ChainLink, type ChainReport, type CompletionStatement, type Digest,
  type Fingerprint, type Gap, type Tombstone,
} from '../consistency/mod.ts'
import { chainLinks, type Catalog } from './catalog.ts'
import { isForeign, type Pins, type SealedEvidence } from './point-seal.ts'
import type { ListedPoint } from './restore-point.ts'

/** What is wrong, worst first; `signer-unknown` alone is nothing wrong, only nothing shown. */
export const VERIFY_CODES = [
  'unreadable', 'forged', 'foreign-signer', 'altered-since-seal', 'damaged', 'forgotten', 'missing',
  'forked', 'missing-link', 'signer-unknown',
] as const
export type VerifyCode = (typeof VERIFY_CODES)[number]

export interface VerifyFinding {
  readonly code: VerifyCode
  /** One plain sentence, printable. */
  readonly sentence: string
}

export interface Verification {
  /** `intact`: as a pinned key sealed it, and its chain is whole; else the worst finding's code. */
  readonly result: 'intact' | VerifyCode
  /** Worst first. */
  readonly findings: readonly VerifyFinding[]
  /** Remarks that are no findings. */
  readonly remarks: readonly string[]
  /** Undefined where the evidence cannot be read; of a point that is gone, its record's. */
  readonly signer: Fingerprint | undefined
  readonly digest: Digest | undefined
  readonly sequence: number | undefined
  /** Undefined where no key is pinned. */
  readonly isPinned: boolean | undefined
  readonly chain: ChainReport | undefined
  readonly completion: CompletionStatement | undefined
}

/** Of a point that is in the repository. */
export function verifyPoint(
  catalog: Catalog, point: ListedPoint, pins: Pins, repositoryId: string): Verification {
  const { seal } = point
  if (seal === undefined) {
    const reason = point.state === 'damaged' ? point.reason : ''
    return verification([finding('unreadable',
      `There is no evidence that can be read: ${reason}.`)], {})
  }
  const chain = seal.isGenuine && !isForeign(seal.signer, pins)
    ? chainOf(catalog, seal, pins) : undefined
  const findings = [
    ...sealFindings(seal, pins),
    ...point.state === 'readable' || seal.differences.length > 0 ? []
      : [finding('damaged', `A part of it cannot be read: ${point.reason}.`)],
    ...chain === undefined ? [] : chainFindings(chain),
  ]
  const { digest, signer, statement } = seal
  return verification(findings, {
    digest, signer, sequence: statement.sequence, chain,
    isPinned: pins.size === 0 ? undefined : pins.has(signer),
    completion: completionOf(catalog, seal, pins),
    remarks: remarksOn(catalog, seal, pins, repositoryId),
  })
}

interface Trace {
  readonly recordedBy: Fingerprint
  readonly of: CompletionStatement | Tombstone
  readonly tombstone: Tombstone | undefined
}

/**
 * Of a point that is not there, by the first digits of its UUID: its tombstone, or a record that
 * shows that it was there. Undefined if nothing does, or several fit.
 */
export function verifyGone(
  { points, records }: Catalog, prefix: string, pins: Pins): Verification | undefined {
  const present = new Set(points.map(({ seal }) => seal?.statement.evidence.pointId))
  const traces = records.flatMap(({ signed }): readonly Trace[] => {
    const { statement, signer: recordedBy, isGenuine } = signed
    if (!isGenuine || isForeign(recordedBy, pins) || statement.kind === 'verdict') return []
    return statement.kind === 'tombstones'
      ? statement.tombstones.map((tombstone) => ({ recordedBy, of: tombstone, tombstone }))
      : [{ recordedBy, of: statement, tombstone: undefined }]
  }).filter(({ of: { pointId } }) => prefix.length > 1 && !present.has(pointId) &&
    pointId.startsWith(prefix.toLowerCase()))
  const trace = traces.find(({ tombstone }) => tombstone !== undefined) ?? traces[0]
  if (trace === undefined) return undefined
  const { of: { pointId, digest, sequence }, tombstone, recordedBy } = trace
  if (traces.some(({ of }) => of.pointId !== pointId)) return undefined
  const nameless = points.filter(({ seal }) => seal === undefined).length
  return verification([
    tombstone === undefined
      ? finding('missing', 'It was there, as the record of its completion shows, and is gone ' +
        'without a tombstone.')
      : finding('forgotten', forgottenSentence(tombstone)),
    ...unknownSigner(pins),
  ], {
    digest, sequence, signer: recordedBy, isPinned: pins.size === 0 ? undefined : true,
    remarks: tombstone === undefined && nameless > 0 ? ['It may be one of the points whose ' +
      `evidence cannot be read: there are ${nameless}.`] : [],
  })
}

function verification(
  findings: readonly VerifyFinding[], known: Partial<Verification>): Verification {
  const sorted = findings.toSorted((a, b) =>
    VERIFY_CODES.indexOf(a.code) - VERIFY_CODES.indexOf(b.code))
  return {
    remarks: [], signer: undefined, digest: undefined, sequence: undefined, isPinned: undefined,
    chain: undefined, completion: undefined, ...known,
    result: sorted[0]?.code ?? 'intact', findings: sorted,
  }
}

function finding(code: VerifyCode, sentence: string): VerifyFinding {
  return { code, sentence: printable(sentence, 1000) }
}

function sealFindings(seal: SealedEvidence, pins: Pins): readonly VerifyFinding[] {
  const { isGenuine, signer, differences } = seal
  return [
    ...isGenuine ? [] : [finding('forged', 'The signature is not that of the key it names: the ' +
      'evidence was changed, or somebody else wrote it.')],
    ...isGenuine && isForeign(signer, pins) ? [finding('foreign-signer',
      `It is signed by the key ${signer}, which is not pinned.`)] : [],
    ...differences.length === 0 ? [] : [finding('altered-since-seal',
      `The point is not what was sealed: ${differences.join('; ')}.`)],
    ...isGenuine ? unknownSigner(pins) : [],
  ]
}

function unknownSigner(pins: Pins): readonly VerifyFinding[] {
  return pins.size > 0 ? [] : [finding('signer-unknown',
    'No fingerprint is pinned outside the repository, so anybody could have signed it.')]
}

function chainOf(catalog: Catalog, seal: SealedEvidence, pins: Pins): ChainReport {
  const { digest, signer, statement: { evidence, repositoryId, sequence, previous } } = seal
  const of = { machine: evidence.machine.name, repositoryId }
  return followChain(chainLinks(catalog, of, pins), {
    pointId: evidence.pointId, digest, signer, sequence, previous, standing: 'present' })
}

function chainFindings(chain: ChainReport): readonly VerifyFinding[] {
  if (isWhole(chain)) return []
  const { missing, forked } = chain
  return [
    ...forked.length === 0 ? [] : [finding('forked',
      `Two histories meet at number ${forked.slice(0, 20).join(', ')} of the machine's evidence.`)],
    ...missing.length === 0 ? [] : [finding('missing-link',
      `Of the machine's earlier evidence number ${missing.slice(0, 20).map(gapWords).join(', ')} ` +
      'is gone without a tombstone.')],
  ]
}

/** `3`, or `3 to 7`. */
export function gapWords({ from, to }: Gap): string {
  return from === to ? String(from) : `${from} to ${to}`
}

function completionOf(
  { records }: Catalog, { digest }: SealedEvidence, pins: Pins): CompletionStatement | undefined {
  for (const { signed: { statement, signer, isGenuine } } of records) {
    if (statement.kind !== 'completion' || statement.digest !== digest) continue
    if (isGenuine && !isForeign(signer, pins)) return statement
  }
  return undefined
}

function remarksOn(
  catalog: Catalog, { digest, statement }: SealedEvidence, pins: Pins,
  repositoryId: string,
): readonly string[] {
  const { points, records } = catalog
  const tombstone = records.flatMap(({ signed }) =>
    signed.isGenuine && !isForeign(signed.signer, pins) && signed.statement.kind === 'tombstones'
      ? signed.statement.tombstones : []).find((it) => it.digest === digest)
  const machine = statement.evidence.machine.name
  const of = { machine, repositoryId: statement.repositoryId }
  const later = goneAfter(chainLinks(catalog, of, pins), statement.sequence)
  const strangers = points.filter(({ seal }) => seal !== undefined &&
    seal.statement.evidence.machine.name === machine &&
    (!seal.isGenuine || isForeign(seal.signer, pins)) && seal.digest !== digest).length
  return [
    ...statement.repositoryId === repositoryId ? []
      : [`It was sealed in another repository, ${statement.repositoryId.slice(0, 8)}, and copied.`],
    ...tombstone === undefined ? [] : [
      'It was to be forgotten and is still there: the forget was interrupted, or it was copied.'],
    ...later.length === 0 ? [] : [`Later evidence of the machine, number ${
      later.slice(0, 20).join(', ')}, is gone without a tombstone.`],
    ...strangers === 0 ? []
      : [`Other points of the machine with forged or foreign evidence: ${strangers}.`],
  ]
}

/** Numbers above `sequence` of which only a record tells, lowest first. */
function goneAfter(links: readonly ChainLink[], sequence: number): readonly number[] {
  const known = new Set(links.flatMap((link) =>
    link.standing === 'witnessed' ? [] : [link.digest]))
  const gone = links.filter((link) => link.sequence > sequence && !known.has(link.digest))
  return [...new Set(gone.map((link) => link.sequence))].toSorted((a, b) => a - b)
}

function forgottenSentence({ forgottenAt, because }: Tombstone): string {
  return `It was forgotten at ${forgottenAt}, ${because === 'rules'
    ? 'because no rule kept it' : 'because an operator named it'}.`
}
