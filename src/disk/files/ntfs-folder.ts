/** Folders of NTFS: the entries of their index, in whatever order its blocks lie. */

import { undoFixups } from '../probe/ntfs-record.ts'
import { fail, MAX_FOLDER_BYTES, type FolderEntry } from './image-file.ts'
import {
  NAME_IS_DOS, NAMESPACE_AT, referenceAt, type NtfsStream, type RecordReference,
} from './ntfs-records.ts'

const INDEXES_FILE_NAMES = 0x30
const ROOT_HEADER_AT = 16
const BLOCK_HEADER_AT = 24
const HEADER_BYTES = 16
const ENTRY_BYTES = 16
const ENTRY_IS_LAST = 2
const NAME_BYTES = 66
/** Of a file, as its name's entry repeats them. */
const ATTRIBUTES_AT = 56
const IS_FOLDER = 0x1000_0000

export interface FolderIndex {
  readonly root: NtfsStream
  readonly blocks: NtfsStream | undefined
  /** Which of the blocks are in use. */
  readonly used: NtfsStream | undefined
}

/** Names are as found: any sixteen-bit units. Fault: `disk-unreadable`. */
export async function readFolder(
  { root, blocks, used }: FolderIndex,
  numberOf: (reference: RecordReference) => number): Promise<readonly FolderEntry[]> {
  const head = await root.read(0, root.sizeBytes)
  if (head.length < ROOT_HEADER_AT + HEADER_BYTES || head.readUInt32LE(0) !== INDEXES_FILE_NAMES) {
    fail('a folder is damaged')
  }
  const entries = [...entriesOf(head, ROOT_HEADER_AT, numberOf)]
  if (blocks === undefined) return entries
  const blockBytes = head.readUInt32LE(8)
  if (blockBytes < 512 || blockBytes > 65_536 || blockBytes % 512 !== 0) {
    fail('a folder is damaged')
  }
  if (blocks.sizeBytes > MAX_FOLDER_BYTES) fail(`a folder has ${blocks.sizeBytes} bytes`)
  const count = Math.floor(blocks.sizeBytes / blockBytes)
  const bitmap = await used?.read(0, Math.ceil(count / 8)) ?? fail('a folder is damaged')
  if (bitmap.length * 8 < count) fail('a folder is damaged')
  for (let number = 0; number < count; number++) {
    if (((bitmap[number >> 3] ?? 0) >> (number & 7) & 1) === 0) continue
    const block = await blocks.read(number * blockBytes, blockBytes)
    if (block.toString('latin1', 0, 4) !== 'INDX' || !undoFixups(block)) {
      fail('a folder is damaged')
    }
    entries.push(...entriesOf(block, BLOCK_HEADER_AT, numberOf))
  }
  return entries
}

/** "Index header" and the entries behind it; what they are sorted by does not matter here. */
function entriesOf(
  bytes: Buffer, headerAt: number,
  numberOf: (reference: RecordReference) => number): readonly FolderEntry[] {
  const entries: FolderEntry[] = []
  let at = headerAt + bytes.readUInt32LE(headerAt)
  const end = headerAt + bytes.readUInt32LE(headerAt + 4)
  if (end > bytes.length) fail('a folder is damaged')
  for (; at + ENTRY_BYTES <= end;) {
    const length = bytes.readUInt16LE(at + 8)
    const keyLength = bytes.readUInt16LE(at + 10)
    if ((bytes.readUInt16LE(at + 12) & ENTRY_IS_LAST) !== 0) return entries
    const keyAt = at + ENTRY_BYTES
    if (length < ENTRY_BYTES + keyLength || at + length > end || keyLength < NAME_BYTES) {
      fail('a folder is damaged')
    }
    const nameEnd = NAME_BYTES + 2 * bytes.readUInt8(keyAt + 64)
    if (nameEnd > keyLength) fail('a folder is damaged')
    const name = bytes.toString('utf16le', keyAt + NAME_BYTES, keyAt + nameEnd)
    if (bytes.readUInt8(keyAt + NAMESPACE_AT) !== NAME_IS_DOS && name !== '.' && name !== '') {
      entries.push({
        name, inode: numberOf(referenceAt(bytes, at)),
        isFolder: (bytes.readUInt32LE(keyAt + ATTRIBUTES_AT) & IS_FOLDER) !== 0 })
    }
    at += length
  }
  return fail('a folder is damaged')
}
