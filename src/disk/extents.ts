/** Extents: runs of bytes of one kind. */

/** A half-open run of bytes, `offset` to `offset + length`. */
export interface Range {
  readonly offset: number
  readonly length: number
}

/** `zero`: reads as zeros without being read; `data`: unknown until read. */
export type ExtentKind = 'data' | 'zero'

export interface Extent extends Range {
  readonly kind: ExtentKind
}
