/** Folders and small files of a snapshot, read with bounds. */

import { Fault } from '../base/fault.ts'
import { printable } from '../base/text.ts'
import type { BlobId, Repository, TreeNode } from '../repository/mod.ts'

/** A folder's nodes by name. Faults: `repository-damaged`. */
export async function readFolder(
  repository: Repository, id: BlobId, signal: AbortSignal): Promise<ReadonlyMap<string, TreeNode>> {
  const { nodes } = await repository.readTree(id, signal)
  return new Map(nodes.map((node) => [node.name, node]))
}

/** As `readFolder`; `point-invalid` where there is no folder. */
export async function readSubfolder(
  repository: Repository, node: TreeNode | undefined, signal: AbortSignal,
): Promise<ReadonlyMap<string, TreeNode>> {
  if (node?.type !== 'dir') throw invalidPoint('a folder is missing')
  return readFolder(repository, node.subtree, signal)
}

/** The bytes of a file. Faults: `point-invalid` (missing, too long), `repository-damaged`. */
export async function readContent(
  repository: Repository, node: TreeNode | undefined, name: string, maxBytes: number,
  signal: AbortSignal,
): Promise<Uint8Array> {
  if (node?.type !== 'file') throw invalidPoint(`${name} is missing`)
  return readFileBlobs(repository, node.content, name, maxBytes, signal)
}

/** As `readContent`, of the chunks that make the file up. */
export async function readFileBlobs(
  repository: Repository, content: readonly BlobId[], name: string, maxBytes: number,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  let length = 0
  for (const id of content) {
    const part = await repository.readBlob('data', id, signal)
    length += part.length
    if (length > maxBytes) {
      throw invalidPoint(`${printable(name, 64)} is longer than ${maxBytes} bytes`)
    }
    parts.push(part)
  }
  return new Uint8Array(Buffer.concat(parts))
}

export function invalidPoint(how: string): Fault {
  return new Fault('point-invalid', `the restore point cannot be used: ${how}`, {
    advice: 'Run `stillpoint check --read-data`; another restore point may be whole.' })
}
