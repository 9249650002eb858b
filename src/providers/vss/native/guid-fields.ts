/** GUIDs as Windows keeps them in memory: three numbers and eight bytes. */

export interface GuidFields {
  readonly d1: number
  readonly d2: number
  readonly d3: number
  readonly d4: ArrayLike<number>
}

/** GUID_NULL: no provider named. */
export const NO_GUID: GuidFields = { d1: 0, d2: 0, d3: 0, d4: [0, 0, 0, 0, 0, 0, 0, 0] }

/** One for a method to fill in. */
export function emptyGuid(): GuidFields {
  return { ...NO_GUID }
}

/** @param guid lower case, without braces: it was parsed before. */
export function guidFields(guid: string): GuidFields {
  const hex = guid.replaceAll('-', '')
  const part = (from: number, digits: number): number =>
    Number.parseInt(hex.slice(from, from + digits), 16)
  return {
    d1: part(0, 8), d2: part(8, 4), d3: part(12, 4),
    d4: Array.from({ length: 8 }, (_, i) => part(16 + 2 * i, 2)),
  }
}

/** Lower case, without braces. */
export function formatGuid({ d1, d2, d3, d4 }: GuidFields): string {
  const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0')
  const bytes = Array.from(d4, (byte) => hex(byte, 2)).join('')
  return `${hex(d1, 8)}-${hex(d2, 4)}-${hex(d3, 4)}-${bytes.slice(0, 4)}-${bytes.slice(4)}`
}
