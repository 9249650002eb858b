/** The end of a `switch` over a union: the compiler sees that no state is left. */

/** Throws an Error: a value came here that its type excludes, which is a broken invariant. */
export function unreachable(value: never): never {
  throw new Error(`a state that no type allows: ${JSON.stringify(value)}`)
}
