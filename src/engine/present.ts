/** Records without the keys that nobody set. */

export type Present<T> = { [Key in keyof T]?: Exclude<T[Key], undefined> }

/** A copy of `record` that lacks what is undefined: an absent key is not the same to a spread. */
export function withoutUndefined<T extends object>(record: T): Present<T> {
  const entries = Object.entries(record).filter(([, value]) => value !== undefined)
  return Object.fromEntries(entries) as Present<T>
}
