/**
 * Seeds that once failed, and what they found. A seed tells a story only as long as the model draws
 * as it did: what it found has a test of its own beside the code that was wrong.
 */

export const REGRESSIONS: readonly { readonly seed: number; readonly found: string }[] = []
