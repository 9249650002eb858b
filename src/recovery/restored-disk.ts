/** A disk that was restored into an image file. */

import type { ImageFormat } from '../disk/mod.ts'

export interface RestoredDisk {
  readonly id: string
  readonly path: string
  readonly format: ImageFormat
  readonly sizeBytes: number
}
