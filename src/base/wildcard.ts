/** Names with `*` and `?` as Windows compares them: without regard to case, `*.*` is all. */

/** Takes time with the product of both lengths at most, whatever stands in them. */
export function fitsWildcard(name: string, pattern: string): boolean {
  if (pattern === '*' || pattern === '*.*') return true
  const [text, spec] = [name.toLowerCase(), pattern.toLowerCase()]
  let [at, inSpec, star, retry] = [0, 0, -1, 0]
  while (at < text.length) {
    if (spec[inSpec] === '*') {
      star = inSpec++
      retry = at
    } else if (spec[inSpec] === '?' || spec[inSpec] === text[at]) {
      inSpec += 1
      at += 1
    } else if (star >= 0) {
      inSpec = star + 1
      at = ++retry
    } else {
      return false
    }
  }
  while (spec[inSpec] === '*') inSpec += 1
  return inSpec === spec.length
}
