/** How each expected file system is accounted for (DESIGN §4 "File systems"). */

import type { GradeReason } from './reasons.ts'

export type FileSystemClass =
  | 'acknowledged' | 'image-frozen' | 'unfreezable' | 'read-only' | 'unmounted' | 'unexplained'

export interface ClassifiedFileSystem {
  /** `/srv (xfs on vdb1)`, printable. */
  readonly name: string
  readonly class: FileSystemClass
  /** Why it is unexplained, or what to remark of it. */
  readonly reason: GradeReason | undefined
}
