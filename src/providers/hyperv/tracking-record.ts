/**
 * Since when changes are known: a file of this host for each machine and repository, with the
 * reference point that stands for a restore point. A lost file costs one full read.
 */

import { z } from 'zod'

export interface TrackedPoint {
  readonly pointId: string
  readonly referencePoint: string
  /** What the host says was achieved: 1 application, 2 crash, 0 not known. */
  readonly consistencyLevel: number
  /** By disk id. */
  readonly disks: Readonly<Record<string, TrackedDisk>>
}

export interface TrackedDisk {
  readonly diskId: string
  readonly sizeBytes: number
  /** What resilient change tracking calls the instant. */
  readonly trackingId: string
}

const text = z.string().max(2048)

export const recordSchema = z.strictObject({
  version: z.literal(1),
  point: z.strictObject({
    pointId: text, referencePoint: text, consistencyLevel: z.int(),
    disks: z.record(text, z.strictObject({
      diskId: text, sizeBytes: z.int().min(0), trackingId: text })),
  }),
})

export type TrackingRecord = z.infer<typeof recordSchema>
