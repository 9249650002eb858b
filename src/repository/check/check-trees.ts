/** Walks all trees of all snapshots, each once, and looks every blob up. */

import { mapBounded } from '../../base/bounded.ts'
import type { Fault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import { plaintextLength } from '../format/blob.ts'
import { readBlobFrom } from '../read/blob-reader.ts'
import type { CheckFindings } from './check-findings.ts'
import type { BlobId } from '../format/id.ts'
import type { BlobIndex } from '../index.ts'
import type { FileNode } from '../format/node.ts'
import type { Repository } from '../repository.ts'
import type { StoredSnapshot } from '../format/snapshot-file.ts'
import { parseTree, type Tree } from '../format/tree.ts'

/** Enough to hide a store's latency. */
const TREES_IN_FLIGHT = 16
const TREE_BYTES_IN_FLIGHT = 32 * 1024 * 1024

/** A tree to be read. */
interface Visit {
  readonly id: BlobId
  readonly entry: number
  /** Where it was met first, for messages. */
  readonly path: string
}

export interface TreesChecked {
  readonly trees: number
  /** One byte an entry of the index: 1 if a snapshot needs it. */
  readonly used: Uint8Array
}

export async function checkTrees(
  repository: Repository, index: BlobIndex, snapshots: readonly StoredSnapshot[],
  findings: CheckFindings, signal: AbortSignal,
): Promise<TreesChecked> {
  const used = new Uint8Array(index.size)
  const waiting: Visit[] = []
  let trees = 0
  /** Marks a tree and queues it if it is met for the first time, so that none is read twice. */
  const meet = (id: BlobId, path: string): void => {
    const entry = index.entryOf('tree', id)
    if (entry < 0) findings.add('error', 'tree-missing', `no index has tree ${id} of ${path}`)
    else if (used[entry] === 0) {
      used[entry] = 1
      waiting.push({ id, entry, path })
    }
  }
  const read = async (visit: Visit): Promise<{ visit: Visit; tree: Tree | Fault }> => ({
    visit,
    tree: await findings.attempt(async () => parseTree(
      await readBlobFrom(repository, index, 'tree', visit.id, signal), `tree ${visit.id}`)),
  })
  const bounds = {
    inFlight: TREES_IN_FLIGHT, inFlightBytes: TREE_BYTES_IN_FLIGHT,
    sizeOf: (visit: Visit) => plaintextLength(index.at(visit.entry)),
  }
  for (const { id, snapshot } of snapshots) {
    meet(snapshot.tree, `snapshot ${id.slice(0, 8)}:`)
    while (waiting.length > 0) {
      const next = waiting.splice(-TREES_IN_FLIGHT)
      for await (const { visit, tree } of mapBounded(next, bounds, read)) {
        findings.progress('trees', ++trees, undefined)
        if (tree instanceof Error) {
          findings.add('error', 'tree-damaged', `${visit.path} cannot be read: ${tree.message}`)
          continue
        }
        for (const node of tree.nodes) {
          const path = below(visit.path, node.name)
          if (node.type === 'dir') meet(node.subtree, path)
          else if (node.type === 'file') checkFile(node, path, index, used, findings)
        }
      }
    }
  }
  return { trees, used }
}

/** A path for messages; of a very deep one, which may be hostile, only the end. */
function below(path: string, name: string): string {
  const whole = `${path}/${printable(name, 100)}`
  return whole.length > 1000 ? `…${whole.slice(-500)}` : whole
}

function checkFile(
  node: FileNode, path: string, index: BlobIndex, used: Uint8Array, findings: CheckFindings,
): void {
  let size = 0
  let missing = 0
  for (const id of node.content) {
    const entry = index.entryOf('data', id)
    if (entry < 0) missing++
    else {
      used[entry] = 1
      size += plaintextLength(index.at(entry))
    }
  }
  if (missing > 0) {
    findings.add('error', 'data-missing',
      `no index has ${missing} of the ${node.content.length} blobs of ${path}`)
  } else if (size !== node.size) {
    findings.add('warning', 'size-differs',
      `${path} says it is ${node.size} bytes long and has ${size} bytes of content`)
  }
}
