/** Text for people: foreign strings made harmless, sizes and durations made readable. */

/** All that a terminal could act on: control bytes, bidirectional marks, line separators. */
const UNPRINTABLE =
  // eslint-disable-next-line no-control-regex
  /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g

/**
 * `text` with everything a terminal could act on shown as `\xNN` or `\uNNNN`: control bytes,
 * escape sequences, bidirectional overrides, line separators. At most `limit` characters.
 */
export function printable(text: string, limit = 400): string {
  const cut = text.length > limit ? `${text.slice(0, limit)}…` : text
  return cut.replace(UNPRINTABLE, (char) => {
    const code = char.charCodeAt(0)
    return code < 0x100
      ? `\\x${code.toString(16).padStart(2, '0')}`
      : `\\u${code.toString(16).padStart(4, '0')}`
  })
}

/** JSON of one line for a screen: says the same, with `\uNNNN` where JSON would not need it. */
export function printableJson(json: string): string {
  return json.replace(UNPRINTABLE, (char) =>
    char === '\n' ? char : `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** `1536` → `1.5 KiB`; binary units, one decimal below 10. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit++
  }
  const digits = unit > 0 && value < 10 ? 1 : 0
  return `${value.toFixed(digits)} ${units[unit]}`
}

/** `38.24` → `38 ms`, `4100` → `4.1 s`, `192000` → `3 min 12 s`. */
export function formatMs(ms: number): string {
  if (ms < 10) return `${ms.toFixed(1)} ms`
  if (ms < 1000) return `${ms.toFixed(0)} ms`
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`
  const seconds = Math.round(ms / 1000)
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}
