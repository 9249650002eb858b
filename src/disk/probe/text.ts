/** Names and ids as file systems write them. */

/** Text up to its first NUL, without trailing spaces; nothing if that is empty. */
export function cString(bytes: Buffer): string | undefined {
  const end = bytes.indexOf(0)
  const text = bytes.toString('utf8', 0, end < 0 ? bytes.length : end).trimEnd()
  return text === '' ? undefined : text
}

/** Sixteen bytes in order as UUID; nothing if all are zero. */
export function uuidText(bytes: Buffer): string | undefined {
  const hex = bytes.toString('hex')
  return /^0*$/.test(hex) ? undefined : hyphenated(hex, [8, 4, 4, 4, 12])
}

/** A GUID as UEFI and Microsoft store it: its first three fields little-endian. */
export function guidText(bytes: Buffer): string | undefined {
  const swapped = Buffer.from(bytes)
  swapped.subarray(0, 4).reverse()
  swapped.subarray(4, 6).reverse()
  swapped.subarray(6, 8).reverse()
  return uuidText(swapped)
}

/** `text` cut into groups of these lengths, joined by hyphens. */
export function hyphenated(text: string, lengths: readonly number[]): string {
  let at = 0
  return lengths.map((length) => text.slice(at, at += length)).join('-')
}

/** An object of the names that were found, to be spread into a result. */
export function names(
  uuid: string | undefined, label: string | undefined): { uuid?: string; label?: string } {
  return { ...(uuid === undefined ? {} : { uuid }), ...(label === undefined ? {} : { label }) }
}
