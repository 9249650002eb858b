/** How measured times are spread: medians and the slow end. */

/** The value that `share` of the others are below; NaN of none. */
export function at(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN
}

/** A line of a table. */
export function spread(name: string, values: readonly number[]): string {
  const shown = [0.5, 0.9, 0.99, 1].map((share) => at(values, share).toFixed(1).padStart(9))
  return `${name.padEnd(40)}${shown.join('')}   (median, 90 %, 99 %, most; ${values.length} times)`
}
