/** The known word that somebody may have meant. */

/** Typing errors in more of a word than this are another word. */
const MAX_DISTANCE = 3

/** The word of `known` that is nearest to `word`; undefined if none is near. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  const limit = Math.min(MAX_DISTANCE, Math.max(1, Math.floor(word.length / 2)))
  const [best] = known
    .map((candidate) => ({ candidate, distance: distanceOf(word.slice(0, 64), candidate) }))
    .filter(({ distance }) => distance <= limit)
    .toSorted((a, b) => a.distance - b.distance)
  return best?.candidate
}

/** Edits between two words: letters more, less, other or swapped; case does not count. */
function distanceOf(a: string, b: string): number {
  const [from, to] = [a.toLowerCase(), b.toLowerCase()]
  let before: readonly number[] = []
  let row: readonly number[] = Array.from({ length: to.length + 1 }, (_, at) => at)
  for (let i = 1; i <= from.length; i++) {
    const next = [i]
    for (let j = 1; j <= to.length; j++) {
      const changed = from[i - 1] === to[j - 1] ? 0 : 1
      const isSwapped = i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1]
      next.push(Math.min(
        (row[j - 1] ?? 0) + changed, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1,
        isSwapped ? (before[j - 2] ?? 0) + 1 : Infinity))
    }
    before = row
    row = next
  }
  return row[to.length] ?? 0
}
