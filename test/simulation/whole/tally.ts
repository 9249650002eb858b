/** How often what happened: a simulation in which nothing goes wrong shows nothing. */

export class Tally {
  readonly counts = new Map<string, number>()

  count(what: string): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1)
  }

  of(what: string): number {
    return this.counts.get(what) ?? 0
  }

  /** `crash 12, filesystem 30 …` */
  toString(): string {
    return [...this.counts].toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([what, count]) => `${what} ${count}`).join(', ')
  }
}
