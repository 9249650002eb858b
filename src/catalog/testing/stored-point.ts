/** Writes restore points into a repository in memory, whole or with a part exchanged. */

import { systemClock } from '../../base/clock.ts'
import { silentLog } from '../../base/log.ts'
import { systemRandom } from '../../base/random.ts'
import { Secret } from '../../base/secret.ts'
import {
  signStatement, type ChainPlace, type Evidence, type Signer,
} from '../../consistency/mod.ts'
import { sampleEvidence, testSigner } from '../../consistency/testing/mod.ts'
import {
  beginWrite, dirNode, fileNode, goTime, initRepository, openRepository, type BlobId, type FileId,
  type Repository, type TreeNode, type WriteSession,
} from '../../repository/mod.ts'
import type { Storage } from '../../storage/mod.ts'
import { gradeTag, POINT, STILLPOINT_TAG } from '../layout.ts'
import { encodeStoredMachine, type StoredMachine } from '../machine.ts'
import { subjectsOf, type SealedEvidence } from '../point-seal.ts'

export const SAMPLE_MACHINE: StoredMachine = {
  version: 1, name: 'db1', platform: 'qemu', architecture: 'x86_64', cpuCount: 2,
  memoryBytes: 1 << 30, firmware: 'bios', nics: [{ model: 'virtio-net-pci' }],
  disks: [
    { id: 'vda', sizeBytes: 1 << 30, bus: 'virtio', chunkBytes: 524_288, segmentBytes: 1 << 28 },
    { id: 'vdb', sizeBytes: 1 << 20, bus: 'virtio', chunkBytes: 524_288, segmentBytes: 1 << 28 },
  ],
}

export interface PointParts {
  readonly evidence?: Evidence
  readonly machine?: StoredMachine
  /** Default: the first of its machine. */
  readonly place?: ChainPlace
  readonly signer?: Signer
  /** Changes the point behind its seal. */
  readonly alter?: (nodes: readonly TreeNode[]) => readonly TreeNode[]
  /** Texts in place of the encoded ones; null leaves the file out. */
  readonly evidenceText?: string | null
  readonly machineText?: string | null
  /** Folders under `/disks`; by default those of the machine. */
  readonly disks?: readonly string[]
  /** What was stored of them before; by default they are empty. */
  readonly diskTrees?: ReadonlyMap<string, BlobId>
  readonly documents?: Readonly<Record<string, string>>
  readonly tags?: readonly string[]
  readonly timeMs?: number
}

/** As if a test's key had sealed a point of `evidence`, and nothing had changed since. */
export function sampleSeal(evidence: Evidence): SealedEvidence {
  return {
    statement: {
      kind: 'point', sequence: 1, previous: null, repositoryId: 'e'.repeat(64), subjects: [],
      evidence },
    digest: 'd'.repeat(64), signer: testSigner().publicKey.fingerprint, isGenuine: true,
    differences: [],
  }
}

const signal = new AbortController().signal

/** A new repository in `storage`, or the one that is there, opened; its password costs nothing. */
export async function openPointRepository(storage: Storage): Promise<Repository> {
  const access = {
    password: new Secret('correct horse'), hostname: 'test', username: 'tester',
    clock: systemClock, random: systemRandom,
  }
  const isThere = (await Array.fromAsync(storage.list('keys', signal))).length > 0
  if (!isThere) {
    await initRepository(storage, { ...access, scryptCost: { N: 2, r: 1, p: 1 } }, signal)
  }
  return openRepository(storage, { ...access, log: silentLog }, signal)
}

/** Stores a point; its snapshot's id. Disks are empty folders unless `diskTrees` has them. */
export async function storePoint(repository: Repository, parts: PointParts = {}): Promise<FileId> {
  const evidence = parts.evidence ?? sampleEvidence()
  const machine = parts.machine ?? SAMPLE_MACHINE
  await using session = await beginWrite(repository, {}, signal)
  const empty = await session.saveTree({ nodes: [] })
  const disks = parts.disks ?? machine.disks.map(({ id }) => id)
  const treeOf = (id: string): BlobId => parts.diskTrees?.get(id) ?? empty
  const documents: TreeNode[] = []
  for (const [name, text] of Object.entries(parts.documents ?? {})) {
    documents.push(...await textNode(session, name, text))
  }
  const platformTree = await saveFolder(session, documents)
  const machineText = parts.machineText ?? encodeStoredMachine(machine)
  const statement = {
    kind: 'point' as const, ...parts.place ?? { sequence: 1, previous: null },
    repositoryId: repository.id, evidence,
    subjects: subjectsOf({
      machine: machineText, restoreText: '', platformTree,
      diskTrees: new Map(disks.map((id) => [id, treeOf(id)])) }),
  }
  const nodes = [
    ...await textNode(session, POINT.evidence,
      parts.evidenceText ?? signStatement(statement, parts.signer ?? testSigner()).envelope,
      parts.evidenceText === null),
    ...await textNode(session, POINT.machine, machineText, parts.machineText === null),
    ...await textNode(session, POINT.restoreText, ''),
    dirNode(POINT.disks, await saveFolder(session, disks.map((id) => dirNode(id, treeOf(id))))),
    dirNode(POINT.platform, platformTree),
  ]
  const tree = await saveFolder(session, parts.alter?.(nodes) ?? nodes)
  await session.flush(signal)
  return await session.saveSnapshot({
    time: goTime(parts.timeMs ?? 1_700_000_000_000), tree, paths: [POINT.path],
    hostname: machine.name, tags: parts.tags ?? [STILLPOINT_TAG, gradeTag('application')],
  }, signal)
}

async function textNode(
  session: WriteSession, name: string, text: string, isLeftOut = false,
): Promise<readonly TreeNode[]> {
  if (isLeftOut) return []
  const bytes = new TextEncoder().encode(text)
  return [fileNode(name, bytes.length,
    bytes.length === 0 ? [] : [await session.saveData(bytes)])]
}

function saveFolder(session: WriteSession, nodes: readonly TreeNode[]): Promise<BlobId> {
  return session.saveTree({ nodes: nodes.toSorted((a, b) => a.name < b.name ? -1 : 1) })
}
