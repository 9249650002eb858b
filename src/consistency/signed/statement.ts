/**
 * What is signed: in-toto Statements (in-toto attestation framework, Statement v1) of four kinds.
 *
 * - `point`: the evidence of a restore point, about its disks and documents as they are stored.
 * - `completion`: what happened after the seal, about a point's evidence.
 * - `verdict`: what later checks made of a point's grade, about its evidence.
 * - `tombstones`: that points were forgotten on purpose, about their evidence.
 *
 * A digest of evidence is the SHA-256 of the statement's bytes, the payload of its envelope.
 */

import type { Evidence } from '../evidence.ts'
import type { Verdict } from '../verdict.ts'
import type { Fingerprint } from './signing-key.ts'

/** SHA-256, 64 lowercase hexadecimal digits. */
export type Digest = string

/** A part of the point: a folder's digest is its tree's id, a file's that of its bytes. */
export interface Subject {
  /** A path in the point, as `/disks/vda`. */
  readonly name: string
  readonly digest: Digest
}

/** A machine's evidence in a repository, numbered from 1; each names the one before it. */
export interface ChainPlace {
  readonly sequence: number
  /** The digest of the machine's evidence before this; null for the first. */
  readonly previous: Digest | null
}

export interface PointStatement extends ChainPlace {
  readonly kind: 'point'
  readonly subjects: readonly Subject[]
  readonly repositoryId: string
  readonly evidence: Evidence
}

/** The point that a record is about. */
export interface PointReference {
  readonly pointId: string
  /** Of its evidence. */
  readonly digest: Digest
}

export interface CompletionStatement extends PointReference, ChainPlace {
  readonly kind: 'completion'
  readonly repositoryId: string
  readonly machine: string
  readonly completedAt: string
  /** Each application that was told of the point, and what it made of it. */
  readonly applications: readonly ToldApplication[]
}

export interface ToldApplication {
  readonly name: string
  readonly outcome: 'told' | 'failed'
  /** Why it failed; empty if it did not. */
  readonly detail: string
}

export interface VerdictStatement extends PointReference {
  readonly kind: 'verdict'
  readonly repositoryId: string
  readonly machine: string
  readonly checkedAt: string
  readonly verdict: Verdict
}

export interface Tombstone extends PointReference, ChainPlace {
  /** Whose key had signed the evidence. */
  readonly signer: Fingerprint
  readonly forgottenAt: string
  /** `rules`: no rule kept it; `named`: an operator named it. */
  readonly because: 'rules' | 'named'
}

export interface TombstonesStatement {
  readonly kind: 'tombstones'
  readonly repositoryId: string
  readonly machine: string
  readonly tombstones: readonly Tombstone[]
}

/** All but the evidence itself: kept in small snapshots of their own. */
export type RecordStatement = CompletionStatement | VerdictStatement | TombstonesStatement
export type Statement = PointStatement | RecordStatement

/** A statement as it was read. */
export interface SignedStatement<T extends Statement = Statement> {
  readonly statement: T
  readonly digest: Digest
  /** The key that it carries. */
  readonly signer: Fingerprint
  /** True if the signature is that key's. Says nothing of whose key it is. */
  readonly isGenuine: boolean
}

/** Tombstones of one record; more go into another. */
export const MAX_TOMBSTONES = 5000
/** Numbers of a chain: nobody makes more, and a hostile one must not overflow. */
export const MAX_SEQUENCE = 1_000_000_000
