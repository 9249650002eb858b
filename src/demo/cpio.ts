/**
 * Writes initramfs archives: cpio "newc" (Linux, Documentation/driver-api/early-userspace/
 * buffer-format.rst). Owner root, no times: equal content gives equal bytes.
 */

export interface CpioEntry {
  /** Relative, `/` between parts; a parent comes before what it holds. */
  readonly path: string
  readonly content:
    | { readonly kind: 'folder' }
    | { readonly kind: 'file'; readonly bytes: Uint8Array; readonly executable: boolean }
    | { readonly kind: 'link'; readonly target: string }
}

const TRAILER = 'TRAILER!!!'

/** The archive of `entries`, in their order. */
export function cpioArchive(entries: readonly CpioEntry[]): Uint8Array {
  const parts: Uint8Array[] = []
  entries.forEach((entry, index) => {
    const { mode, bytes } = bodyOf(entry)
    parts.push(header(index + 1, mode, bytes.length, entry.path), padded(bytes))
  })
  parts.push(header(0, 0, 0, TRAILER))
  return Buffer.concat(parts)
}

function bodyOf(entry: CpioEntry): { mode: number; bytes: Uint8Array } {
  const { content } = entry
  switch (content.kind) {
    case 'folder': return { mode: 0o040755, bytes: new Uint8Array() }
    case 'file': return { mode: content.executable ? 0o100755 : 0o100644, bytes: content.bytes }
    case 'link': return { mode: 0o120777, bytes: Buffer.from(content.target) }
    default: return content satisfies never
  }
}

function header(inode: number, mode: number, size: number, path: string): Uint8Array {
  const name = Buffer.from(`${path}\0`)
  // ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
  const numbers = [inode, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name.length, 0]
  const text = numbers.map((number) => number.toString(16).padStart(8, '0')).join('')
  return padded(Buffer.concat([Buffer.from(`070701${text}`), name]))
}

/** `bytes` with zeros to a multiple of four. */
function padded(bytes: Uint8Array): Uint8Array {
  const result = new Uint8Array(Math.ceil(bytes.length / 4) * 4)
  result.set(bytes)
  return result
}
