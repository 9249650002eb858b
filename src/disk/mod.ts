export type { BlockSink, BlockSource } from './block-source.ts'
export type { Extent, ExtentKind, Range } from './extents.ts'
