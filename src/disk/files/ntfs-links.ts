/** What stands in a file's place (MS-FSCC 2.1.2 "Reparse Point Data Structures"). */

import { fail } from './image-file.ts'

const MOUNT_POINT = 0xa000_0003
const SYMBOLIC_LINK = 0xa000_000c
const LINUX_LINK = 0xa000_001d
const HEAD_BYTES = 8

/** Those whose contents are elsewhere, or kept in a form that another driver reads. */
const KEPT_OTHERWISE: Readonly<Record<number, string>> = {
  0x8000_0013: 'deduplicated',
  0x8000_0017: 'compressed (CompactOS)',
  0xc000_0004: 'in other storage (HSM)',
}

export type Reparsed =
  | { readonly target: string }
  | { readonly keptAs: string }

/** Fault: `disk-unreadable`. */
export function parseReparsePoint(bytes: Buffer): Reparsed {
  if (bytes.length < HEAD_BYTES) fail('a reparse point is damaged')
  const tag = bytes.readUInt32LE(0)
  const data = bytes.subarray(HEAD_BYTES, HEAD_BYTES + bytes.readUInt16LE(4))
  if (tag === LINUX_LINK) return { target: data.toString('utf8', 4) }
  if (tag === SYMBOLIC_LINK) return { target: pathOf(data, 12) }
  if (tag === MOUNT_POINT) return { target: pathOf(data, 8) }
  return { keptAs: KEPT_OTHERWISE[tag] ?? `behind a reparse point (0x${tag.toString(16)})` }
}

/** The path as it is shown, or the one that is followed where none is. */
function pathOf(data: Buffer, pathsAt: number): string {
  if (data.length < pathsAt) fail('a reparse point is damaged')
  const part = (at: number): string => {
    const from = pathsAt + data.readUInt16LE(at)
    const end = from + data.readUInt16LE(at + 2)
    return end <= data.length ? data.toString('utf16le', from, end)
      : fail('a reparse point is damaged')
  }
  return part(4) || part(0)
}
