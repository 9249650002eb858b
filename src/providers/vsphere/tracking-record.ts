/**
 * Since when changes are known: a file of this host for each machine and repository, which keeps
 * what vSphere called the instant of a point (its change ids).
 *
 * It holds the newest sealed point, and from the instant on the one that may become so: which of
 * them counts is told by what the repository has sealed. A lost file costs one full read.
 */

import { z } from 'zod'

export interface TrackedDisk {
  readonly key: number
  /** Null where vSphere states none. */
  readonly uuid: string | null
  readonly file: string
  readonly sizeBytes: number
  readonly changeId: string
}

export interface TrackedPoint {
  readonly pointId: string
  /** By disk id. */
  readonly disks: Readonly<Record<string, TrackedDisk>>
}

const text = z.string().max(2048)

/** Points: the oldest first. */
export const recordSchema = z.strictObject({
  version: z.literal(1),
  points: z.array(z.strictObject({
    pointId: text,
    disks: z.record(text, z.strictObject({
      key: z.int(), uuid: text.nullable(), file: text, sizeBytes: z.int().min(0), changeId: text,
    })),
  })).max(2),
})

export type TrackingRecord = z.infer<typeof recordSchema>
