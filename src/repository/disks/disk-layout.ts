/**
 * How a disk lies in a tree: segments of 256 MiB, each a file in a folder of its own, so that a
 * change renews the metadata of its own segment only: `<gggg>/<ss>/seg`, decimal, zero-padded.
 */

import assert from 'node:assert/strict'
import { Fault } from '../../base/fault.ts'
import type { BlobId } from '../format/id.ts'
import type { FileNode } from '../format/node.ts'
import type { Repository } from '../repository.ts'
import type { Tree } from '../format/tree.ts'

/** Chunks of disks, unless the repository is set up otherwise; also restic's sparse zero blob. */
export const DEFAULT_CHUNK_BYTES = 512 * 1024
export const SEGMENT_BYTES = 256 * 1024 * 1024
export const SEGMENTS_PER_GROUP = 64
/** The names have room for 156 TiB. */
export const MAX_GROUPS = 10_000

/** What must be known to read a disk's tree, and what machine.json records. */
export interface DiskGeometry {
  readonly sizeBytes: number
  /** Every chunk has this length but the disk's last one. Divides `segmentBytes`. */
  readonly chunkBytes: number
  /** Every segment has this length but the disk's last one. Default `SEGMENT_BYTES`. */
  readonly segmentBytes?: number
}

/** A geometry that was checked, with its counts. */
export interface DiskLayout extends Required<DiskGeometry> {
  readonly segmentCount: number
  readonly groupCount: number
}

/** Fault `unsupported`: lengths that do not fit one another, or a disk beyond the layout's end. */
export function layoutOf(geometry: DiskGeometry): DiskLayout {
  const { sizeBytes, chunkBytes, segmentBytes = SEGMENT_BYTES } = geometry
  const isCount = (value: number): boolean => Number.isSafeInteger(value) && value > 0
  if (!isCount(chunkBytes) || !isCount(segmentBytes) || segmentBytes % chunkBytes !== 0 ||
      !Number.isSafeInteger(sizeBytes) || sizeBytes < 0) {
    throw new Fault('unsupported',
      `a disk of ${sizeBytes} bytes in chunks of ${chunkBytes} and segments of ${segmentBytes}`)
  }
  const segmentCount = Math.ceil(sizeBytes / segmentBytes)
  const groupCount = Math.ceil(segmentCount / SEGMENTS_PER_GROUP)
  if (groupCount > MAX_GROUPS) {
    throw new Fault('unsupported', `a disk of ${sizeBytes} bytes is too large for the layout`)
  }
  return { sizeBytes, chunkBytes, segmentBytes, segmentCount, groupCount }
}

/** Bytes of segment number `segment`. */
export function segmentLength(layout: DiskLayout, segment: number): number {
  return Math.min(layout.segmentBytes, layout.sizeBytes - segment * layout.segmentBytes)
}

export function chunksIn(layout: DiskLayout, length: number): number {
  return Math.ceil(length / layout.chunkBytes)
}

/** The name of group number `n` in the disk's folder. */
export function groupName(n: number): string {
  return String(n).padStart(4, '0')
}

/** The name of the folder of segment number `n` of its group. */
export function segmentName(n: number): string {
  return String(n).padStart(2, '0')
}

export const SEGMENT_FILE = 'seg'

/**
 * A disk's tree, read part by part and held to its geometry: a tree that lacks something, or has
 * something else, is a `point-invalid` Fault. Needs the repository's index.
 */
export class DiskTree {
  readonly layout: DiskLayout
  readonly #repository: Repository
  readonly #treeId: BlobId

  constructor(repository: Repository, treeId: BlobId, layout: DiskLayout) {
    this.#repository = repository
    this.#treeId = treeId
    this.layout = layout
  }

  /** The tree of one segment's folder. */
  async segmentTreeId(segment: number, signal: AbortSignal): Promise<BlobId> {
    const { segmentCount, groupCount } = this.layout
    assert(segment >= 0 && segment < segmentCount)
    const group = Math.floor(segment / SEGMENTS_PER_GROUP)
    const groups = await this.#readTree(this.#treeId, signal)
    const groupId = folderAt(groups, group, groupCount, groupName)
    const inGroup = Math.min(SEGMENTS_PER_GROUP, segmentCount - group * SEGMENTS_PER_GROUP)
    const segments = await this.#readTree(groupId, signal)
    return folderAt(segments, segment % SEGMENTS_PER_GROUP, inGroup, segmentName)
  }

  /** The chunks of one segment, in order. */
  async chunkIds(segment: number, signal: AbortSignal): Promise<readonly BlobId[]> {
    const tree = await this.#readTree(await this.segmentTreeId(segment, signal), signal)
    const node = onlyFile(tree)
    const length = segmentLength(this.layout, segment)
    if (node.size !== length || node.content.length !== chunksIn(this.layout, length)) {
      throw invalid(`segment ${segment} has ${node.size} bytes in ${node.content.length} chunks`)
    }
    return node.content
  }

  async #readTree(id: BlobId, signal: AbortSignal): Promise<Tree> {
    return this.#repository.readTree(id, signal)
  }
}

/** The subtree of entry number `at` of a tree that has exactly `count` folders, named in order. */
function folderAt(
  tree: Tree, at: number, count: number, nameOf: (n: number) => string): BlobId {
  const node = tree.nodes[at]
  if (tree.nodes.length !== count) {
    throw invalid(`a folder has ${tree.nodes.length} entries instead of ${count}`)
  }
  if (node?.type !== 'dir' || node.name !== nameOf(at)) {
    throw invalid(`folder ${nameOf(at)} is missing`)
  }
  return node.subtree
}

function onlyFile(tree: Tree): FileNode {
  const [node, ...others] = tree.nodes
  if (node?.type === 'file' && node.name === SEGMENT_FILE && others.length === 0) return node
  throw invalid(`a segment's folder holds something else than the file ${SEGMENT_FILE}`)
}

function invalid(how: string): Fault {
  return new Fault('point-invalid', `a disk is not stored as its machine.json says: ${how}`, {
    advice: 'Check the repository; another restore point may be whole.' })
}
