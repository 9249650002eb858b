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

/** Levenshtein distance that takes letters of another case for the same. */
function distanceOf(a: string, b: string): number {
  const [from, to] = [a.toLowerCase(), b.toLowerCase()]
  let row = Array.from({ length: to.length + 1 }, (_, at) => at)
  for (let i = 1; i <= from.length; i++) {
    const next = [i]
    for (let j = 1; j <= to.length; j++) {
      const same = from[i - 1] === to[j - 1] ? 0 : 1
      next.push(Math.min(
        (row[j - 1] ?? 0) + same, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[to.length] ?? 0
}
