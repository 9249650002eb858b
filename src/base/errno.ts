/** What the operating system answered. */

/** The name of the error, such as `ENOENT` (errno(3)); empty if `error` has none. */
export function errnoOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string'
    ? error.code : ''
}
