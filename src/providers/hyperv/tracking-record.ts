/**
 * Since when changes are known: a file of this host for each machine and repository, with the
 * reference point that stands for a restore point. A lost file costs one full read.
 */

import { createHash } from 'node:crypto'
import { mkdir, open, rename } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import { parseJson } from '../../base/json.ts'

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

const MAX_BYTES = 1024 * 1024
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
  const key = createHash('sha256').update(JSON.stringify([machineId, repositoryId])).digest('hex')
  return join(stateDir, `hyperv-${key.slice(0, 32)}.json`)
}

/** Undefined where there is no such file or it is not one. */
export async function readTracked(file: string): Promise<TrackedPoint | undefined> {
  try {
    await using handle = await open(file, 'r')
    const bytes = new Uint8Array(MAX_BYTES + 1)
    const { bytesRead } = await handle.read(bytes, 0, bytes.length, 0)
    const limits = { maxBytes: MAX_BYTES, maxDepth: 8 }
    return recordSchema.parse(
      parseJson(bytes.subarray(0, bytesRead), file, 'io-error', limits)).point
  } catch {
    return undefined
  }
}

/** Replaces the file, durably. Throws what the file system says. */
export async function writeTracked(file: string, point: TrackedPoint): Promise<void> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 })
  const part = `${file}.part`
  {
    await using handle = await open(part, 'w', 0o600)
    await handle.writeFile(JSON.stringify({ version: 1, point }))
    await handle.sync()
  }
  await rename(part, file)
}
