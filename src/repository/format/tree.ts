/** Trees: directories, stored as blobs (restic design, "Trees and Data"). */

import assert from 'node:assert/strict'
import { Fault } from '../../base/fault.ts'
import { MAX_BLOB_BYTES } from './blob.ts'
import { parseArray, parseGoJson, parseObject } from './go-json.ts'
import { encodeNode, parseNode, type TreeNode } from './node.ts'
import { compareNames } from './node-name.ts'

export interface Tree {
  /** Strictly ascending by the bytes of their names. */
  readonly nodes: readonly TreeNode[]
}

/** The tree's plaintext as restic writes it. The nodes must be in order, each name once. */
export function encodeTree(tree: Tree): Uint8Array<ArrayBuffer> {
  let previous: string | undefined
  for (const { name } of tree.nodes) {
    assert.ok(previous === undefined || compareNames(previous, name) < 0, 'nodes out of order')
    previous = name
  }
  const json = `{"nodes":[${tree.nodes.map(encodeNode).join(',')}]}\n`
  return new Uint8Array(Buffer.from(json, 'utf8'))
}

/** Reads a tree's plaintext. Fault: `repository-damaged`, naming `what`. */
export function parseTree(plaintext: Uint8Array, what: string): Tree {
  const fields = parseObject(parseGoJson(plaintext, what, MAX_BLOB_BYTES), what)
  const nodes: TreeNode[] = []
  for (const item of parseArray(fields['nodes'], `the list in ${what}`)) {
    const node = parseNode(item, what)
    const previous = nodes.at(-1)
    if (previous !== undefined && compareNames(previous.name, node.name) >= 0) {
      throw new Fault('repository-damaged', `${what} has its entries out of order`)
    }
    nodes.push(node)
  }
  return { nodes }
}
