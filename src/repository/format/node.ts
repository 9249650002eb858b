/** Nodes: the entries of a tree (restic design, "Trees and Data"; field order as restic writes). */

import { Fault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import {
  goObject, goString, goValue, NO_TIME, parseArray, parseGoTime, parseObject, type GoTime,
} from './go-json.ts'
import { parseBlobId, type BlobId } from './id.ts'
import { checkName, nameBytes, nameFromBytes, quoteName, unquoteName } from './node-name.ts'

/** What every node has. Fields that restic leaves out when empty are optional. */
export interface NodeMetadata {
  /** As node-name.ts says: bytes that are not UTF-8 are lone surrogates. */
  readonly name: string
  /** Go's os.FileMode: nine permission bits, and types from bit 31 downwards. */
  readonly mode: number
  readonly mtime: GoTime
  readonly atime: GoTime
  readonly ctime: GoTime
  readonly uid: number
  readonly gid: number
  readonly user?: string
  readonly group?: string
  readonly inode?: bigint
  readonly deviceId?: bigint
  readonly links?: number
  readonly extendedAttributes?: readonly ExtendedAttribute[]
  /** Attributes of other systems, by name; their values are passed through unread. */
  readonly genericAttributes?: Readonly<Record<string, unknown>>
  /** What went wrong when restic read this entry. */
  readonly error?: string
}

export interface ExtendedAttribute {
  readonly name: string
  readonly value: Uint8Array | null
}

export interface FileNode extends NodeMetadata {
  readonly type: 'file'
  /** Bytes; meant to be the sum of the content's, which nothing guarantees. */
  readonly size: number
  readonly content: readonly BlobId[]
}

export interface DirNode extends NodeMetadata {
  readonly type: 'dir'
  readonly subtree: BlobId
}

export interface SymlinkNode extends NodeMetadata {
  readonly type: 'symlink'
  /** In the same form as a name. */
  readonly linkTarget: string
}

export interface SpecialNode extends NodeMetadata {
  readonly type: 'dev' | 'chardev' | 'fifo' | 'socket' | 'irregular'
  readonly device?: bigint
}

export type TreeNode = FileNode | DirNode | SymlinkNode | SpecialNode

/** The bit of Go's file mode that says directory. */
const GO_MODE_DIR = 0x8000_0000

/**
 * Metadata of the nodes we make: constant, so that equal content gives equal trees; owned by root
 * and closed to others, because an image holds secrets.
 */
const OUR_METADATA = {
  mtime: '1980-01-01T00:00:00Z' as GoTime,
  atime: '1980-01-01T00:00:00Z' as GoTime,
  ctime: '1980-01-01T00:00:00Z' as GoTime,
  uid: 0,
  gid: 0,
}

/** A file as we store one, with constant metadata. `size` is the sum of the content's lengths. */
export function fileNode(name: string, size: number, content: readonly BlobId[]): FileNode {
  return { type: 'file', name, mode: 0o600, ...OUR_METADATA, size, content }
}

/** A directory as we store one, with constant metadata. */
export function dirNode(name: string, subtree: BlobId): DirNode {
  return { type: 'dir', name, mode: GO_MODE_DIR + 0o700, ...OUR_METADATA, subtree }
}

/** The node as restic writes it, to the byte. */
export function encodeNode(node: TreeNode): string {
  const device = 'device' in node ? node.device : undefined
  return goObject([
    ['name', goString(quoteName(node.name))],
    ['type', goString(node.type)],
    ['mode', nonZero(node.mode)],
    ['mtime', goString(node.mtime)],
    ['atime', goString(node.atime)],
    ['ctime', goString(node.ctime)],
    ['uid', String(node.uid)],
    ['gid', String(node.gid)],
    ['user', nonEmpty(node.user)],
    ['group', nonEmpty(node.group)],
    ['inode', nonZero(node.inode)],
    ['device_id', nonZero(node.deviceId)],
    ['size', node.type === 'file' ? nonZero(node.size) : undefined],
    ['links', nonZero(node.links)],
    ...encodeLinkTarget(node),
    ['extended_attributes', encodeExtendedAttributes(node.extendedAttributes)],
    ['generic_attributes', encodeGenericAttributes(node.genericAttributes)],
    ['device', nonZero(device)],
    ['content', node.type === 'file' ? encodeContent(node.content) : 'null'],
    ['subtree', node.type === 'dir' ? goString(node.subtree) : undefined],
    ['error', nonEmpty(node.error)],
  ])
}

function nonZero(value: number | bigint | undefined): string | undefined {
  return value === undefined || BigInt(value) === 0n ? undefined : String(value)
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === undefined || text === '' ? undefined : goString(text)
}

function encodeContent(content: readonly BlobId[]): string {
  return content.length === 0 ? '[]' : `["${content.join('","')}"]`
}

function encodeLinkTarget(node: TreeNode): readonly (readonly [string, string | undefined])[] {
  if (node.type !== 'symlink') return []
  const raw = node.linkTarget.isWellFormed()
    ? undefined
    : `"${Buffer.from(nameBytes(node.linkTarget)).toString('base64')}"`
  return [['linktarget', nonEmpty(node.linkTarget)], ['linktarget_raw', raw]]
}

function encodeExtendedAttributes(
  attributes: readonly ExtendedAttribute[] = []): string | undefined {
  if (attributes.length === 0) return undefined
  const literals = attributes.map(({ name, value }) => goObject([
    ['name', goString(name)],
    ['value', value === null ? 'null' : `"${Buffer.from(value).toString('base64')}"`],
  ]))
  return `[${literals.join(',')}]`
}

function encodeGenericAttributes(
  attributes: Readonly<Record<string, unknown>> = {}): string | undefined {
  const names = Object.keys(attributes).sort((a, b) =>
    Buffer.compare(Buffer.from(a), Buffer.from(b)))
  if (names.length === 0) return undefined
  return goObject(names.map((name) => [name, goValue(attributes[name])]))
}

/** Reads a node. Unknown fields are left out. Fault: `repository-damaged`, naming `what`. */
export function parseNode(value: unknown, what: string): TreeNode {
  const fields = parseObject(value, `an entry of ${what}`)
  const name = unquoteName(text(fields, 'name', what), what)
  checkName(name, what)
  const here = `the entry ${printable(name, 100)} of ${what}`
  const metadata = parseMetadata(fields, name, here)
  const type = text(fields, 'type', here)
  switch (type) {
    case 'file': {
      const content = parseArray(fields['content'], `the content of ${here}`)
      return {
        type, ...metadata, size: integer(fields, 'size', here),
        content: content.map((id) => parseBlobId(id, here)),
      }
    }
    case 'dir':
      return { type, ...metadata, subtree: parseBlobId(fields['subtree'], here) }
    case 'symlink':
      return { type, ...metadata, linkTarget: parseLinkTarget(fields, here) }
    case 'dev': case 'chardev': case 'fifo': case 'socket': case 'irregular':
      return { type, ...metadata, ...present('device', u64(fields, 'device', here)) }
    default:
      throw new Fault('repository-damaged', `${here} is of an unknown type`)
  }
}

type Fields = Readonly<Record<string, unknown>>

function parseMetadata(fields: Fields, name: string, what: string): NodeMetadata {
  const user = text(fields, 'user', what)
  const group = text(fields, 'group', what)
  const links = integer(fields, 'links', what)
  const error = text(fields, 'error', what)
  const generic = fields['generic_attributes'] ?? undefined
  return {
    name,
    mode: integer(fields, 'mode', what, 0xffff_ffff),
    mtime: parseGoTime(fields['mtime'] ?? NO_TIME, what),
    atime: parseGoTime(fields['atime'] ?? NO_TIME, what),
    ctime: parseGoTime(fields['ctime'] ?? NO_TIME, what),
    uid: integer(fields, 'uid', what, 0xffff_ffff),
    gid: integer(fields, 'gid', what, 0xffff_ffff),
    ...(user === '' ? {} : { user }),
    ...(group === '' ? {} : { group }),
    ...present('inode', u64(fields, 'inode', what)),
    ...present('deviceId', u64(fields, 'device_id', what)),
    ...(links === 0 ? {} : { links }),
    ...present('extendedAttributes', parseExtendedAttributes(fields, what)),
    ...present('genericAttributes', generic === undefined ? undefined : parseObject(generic, what)),
    ...(error === '' ? {} : { error }),
  }
}

function parseLinkTarget(fields: Fields, what: string): string {
  const raw = text(fields, 'linktarget_raw', what)
  return raw === '' ? text(fields, 'linktarget', what) : nameFromBytes(base64(raw, what))
}

function parseExtendedAttributes(
  fields: Fields, what: string): readonly ExtendedAttribute[] | undefined {
  const value = fields['extended_attributes'] ?? undefined
  if (value === undefined) return undefined
  return parseArray(value, `the attributes of ${what}`).map((item) => {
    const attribute = parseObject(item, `an attribute of ${what}`)
    const content = attribute['value'] ?? null
    return {
      name: text(attribute, 'name', what),
      value: content === null ? null : base64(text(attribute, 'value', what), what),
    }
  })
}

/** `{ [key]: value }`, or nothing where the value is undefined. */
function present<K extends string, V>(key: K, value: V | undefined): { [P in K]?: V } {
  return value === undefined ? {} : { [key]: value } as { [P in K]: V }
}

function text(fields: Fields, key: string, what: string): string {
  const value = fields[key] ?? ''
  if (typeof value === 'string') return value
  throw new Fault('repository-damaged', `${what} has a "${key}" that is not text`)
}

function integer(
  fields: Fields, key: string, what: string, max = Number.MAX_SAFE_INTEGER): number {
  const value = fields[key] ?? 0
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= max) {
    return value
  }
  throw new Fault('repository-damaged', `${what} has a "${key}" that is out of range`)
}

/** Undefined where it is absent or zero, which restic leaves out. */
function u64(fields: Fields, key: string, what: string): bigint | undefined {
  const value = fields[key] ?? 0
  const isInteger = typeof value === 'bigint' || Number.isSafeInteger(value)
  const number = isInteger ? BigInt(value as number | bigint) : -1n
  if (number < 0n || number >= 1n << 64n) {
    throw new Fault('repository-damaged', `${what} has a "${key}" that is out of range`)
  }
  return number === 0n ? undefined : number
}

function base64(value: string, what: string): Uint8Array {
  const bytes = Buffer.from(value, 'base64')
  if (bytes.toString('base64') === value) return bytes
  throw new Fault('repository-damaged', `${what} holds text that is not base64`)
}
