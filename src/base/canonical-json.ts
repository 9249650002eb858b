/** One text for one value: JSON with sorted keys and no spaces, for what is compared or hashed. */

/**
 * `value` as JSON in the order of RFC 8785 (keys by UTF-16 code units, numbers and strings as
 * ECMAScript writes them). Properties that are undefined are left out. Throws a TypeError for
 * what JSON has no word for: a number that is not finite, a function, undefined in an array.
 */
export function canonicalJson(value: unknown): string {
  if (value === null || typeof value === 'boolean' || typeof value === 'string') {
    return JSON.stringify(value)
  }
  if (typeof value === 'number' && Number.isFinite(value)) return JSON.stringify(value)
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`
  if (typeof value === 'object') {
    const members = Object.entries(value).filter(([, member]) => member !== undefined)
      .toSorted(([a], [b]) => a < b ? -1 : 1)
      .map(([key, member]) => `${JSON.stringify(key)}:${canonicalJson(member)}`)
    return `{${members.join(',')}}`
  }
  throw new TypeError(`no JSON for ${typeof value === 'number' ? value : typeof value}`)
}
