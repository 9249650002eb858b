/**
 * Since when changes are known: a file of this host for each machine and repository, with the
 * reference point that stands for a restore point. A lost file costs one full read.
 */

import { z } from 'zod'
import { keepRecord, keptRecordFile, readKeptRecord } from '../machine/kept-record.ts'

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

const recordSchema = z.strictObject({
  version: z.literal(1),
  point: z.strictObject({
    pointId: text, referencePoint: text, consistencyLevel: z.int(),
    disks: z.record(text, z.strictObject({
      diskId: text, sizeBytes: z.int().min(0), trackingId: text })),
  }),
})

export function recordFile(stateDir: string, machineId: string, repositoryId: string): string {
  return keptRecordFile(stateDir, 'hyperv', [machineId, repositoryId])
}

/** Undefined where there is no such file or it is not one. */
export async function readTracked(file: string): Promise<TrackedPoint | undefined> {
  return (await readKeptRecord(file, recordSchema))?.point
}

/** Throws what the file system says. */
export async function writeTracked(file: string, point: TrackedPoint): Promise<void> {
  await keepRecord(file, { version: 1, point })
}
