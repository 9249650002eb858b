/** A point's signed evidence, and whether the point is still what was sealed (docs/evidence.md). */

import { hash } from 'node:crypto'
import { isFault } from '../base/fault.ts'
import { printable } from '../base/text.ts'
import {
  cappedBy, MAX_ENVELOPE_BYTES, readStatement, reason, type Digest, type Fingerprint,
  type GradeResult, type PointStatement, type SignedStatement, type Subject,
} from '../consistency/mod.ts'
import { blobIdOf, type BlobId, type Repository, type TreeNode } from '../repository/mod.ts'
import { POINT } from './layout.ts'
import { invalidPoint, readContent, readSubfolder } from './read-parts.ts'

/** Fingerprints that an operator trusts; empty: none is pinned, and every signer is unknown. */
export type Pins = ReadonlySet<Fingerprint>

export const NO_PINS: Pins = new Set()

export interface SealedEvidence extends SignedStatement<PointStatement> {
  /** How the stored point differs from what was sealed, printable; empty: it does not. */
  readonly differences: readonly string[]
}

/** What a point consists of, for its seal. */
export interface SealedParts {
  readonly machine: string
  readonly restoreText: string
  /** By disk id. */
  readonly diskTrees: ReadonlyMap<string, BlobId>
  readonly platformTree: BlobId
}

/** The subjects of a point's statement. */
export function subjectsOf(parts: SealedParts): readonly Subject[] {
  const textDigest = (text: string): Digest => hash('sha256', text, 'hex')
  return [
    ...[...parts.diskTrees].map(([id, tree]) => ({ name: diskSubject(id), digest: tree })),
    { name: `/${POINT.platform}`, digest: parts.platformTree },
    { name: `/${POINT.machine}`, digest: textDigest(parts.machine) },
    { name: `/${POINT.restoreText}`, digest: textDigest(parts.restoreText) },
  ]
}

/**
 * Reads and verifies the evidence in a point's root folder. Faults: `point-invalid` where there is
 * none, `evidence-invalid`, `repository-damaged`.
 */
export async function readSeal(
  repository: Repository, root: ReadonlyMap<string, TreeNode>, signal: AbortSignal,
): Promise<SealedEvidence> {
  const bytes = await readContent(
    repository, root.get(POINT.evidence), POINT.evidence, MAX_ENVELOPE_BYTES, signal)
  const { statement, ...signed } = readStatement(bytes, POINT.evidence)
  if (statement.kind !== 'point') throw invalidPoint(`${POINT.evidence} is another record`)
  const found = await foundSubjects(repository, root, signal)
  return { ...signed, statement, differences: differencesOf(statement.subjects, found) }
}

/** What the evidence supports, as long as it is shown to be that of this point. */
export function effectiveResult(
  supported: GradeResult, { isGenuine, signer, differences }: SealedEvidence, pins: Pins,
): GradeResult {
  let result = supported
  if (!isGenuine) result = cappedBy(result, reason('evidence-forged'))
  if (isGenuine && isForeign(signer, pins)) {
    result = cappedBy(result, reason('signer-not-pinned', signer))
  }
  return differences.length === 0 ? result
    : cappedBy(result, reason('altered-since-seal', differences.join('; ')))
}

/** True where pins are set and this signer is none of them. */
export function isForeign(signer: Fingerprint, pins: Pins): boolean {
  return pins.size > 0 && !pins.has(signer)
}

/** The parts that there are, as a seal would name them; a digest that is none says why. */
async function foundSubjects(
  repository: Repository, root: ReadonlyMap<string, TreeNode>, signal: AbortSignal,
): Promise<readonly Subject[]> {
  const found: Subject[] = []
  for (const [name, node] of root) {
    if (name === POINT.evidence) continue
    if (name !== POINT.disks) {
      found.push({ name: `/${name}`, digest: contentDigest(node) })
      continue
    }
    try {
      for (const [id, disk] of await readSubfolder(repository, node, signal)) {
        found.push({ name: diskSubject(id), digest: contentDigest(disk) })
      }
    } catch (error) {
      // The disks are missed below, each by its name.
      if (!isFault(error, 'repository-damaged', 'point-invalid')) throw error
    }
  }
  return found
}

/** A folder's tree; a file's SHA-256, which is its chunk's id, as we store files in one chunk. */
function contentDigest(node: TreeNode): Digest {
  if (node.type === 'dir') return node.subtree
  if (node.type !== 'file') return `a ${node.type}`
  const [only = blobIdOf(new Uint8Array()), ...more] = node.content
  return more.length === 0 ? only : 'in several chunks'
}

function diskSubject(id: string): string {
  return `/${POINT.disks}/${id}`
}

function differencesOf(sealed: readonly Subject[], found: readonly Subject[]): readonly string[] {
  const there = new Map(found.map(({ name, digest }) => [name, digest]))
  const known = new Set(sealed.map(({ name }) => name))
  return [
    ...sealed.flatMap(({ name, digest }) => !there.has(name) ? [`${printable(name, 80)} is gone`]
      : there.get(name) === digest ? [] : [`${printable(name, 80)} is another`]),
    ...found.flatMap(({ name }) =>
      known.has(name) ? [] : [`${printable(name, 80)} was added`]),
  ]
}
