/**
 * Since when changes are known: a file of this host for each machine and repository, which keeps
 * what vSphere called the instant of a point (its change ids).
 *
 * It holds the newest sealed point, and from the instant on the one that may become so: which of
 * them counts is told by what the repository has sealed. A lost file costs one full read.
 */

import { createHash } from 'node:crypto'
import { mkdir, open, rename } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import { parseJson } from '../../base/json.ts'

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

const MAX_BYTES = 1024 * 1024
const text = z.string().max(2048)

const recordSchema = z.strictObject({
  version: z.literal(1),
  points: z.array(z.strictObject({
    pointId: text,
    disks: z.record(text, z.strictObject({
      key: z.int(), uuid: text.nullable(), file: text, sizeBytes: z.int().min(0), changeId: text,
    })),
  })).max(2),
})

/** `server` and `machine` as vSphere has them. */
export function recordFile(
  stateDir: string, server: string, machine: string, repositoryId: string): string {
  const key = createHash('sha256').update(JSON.stringify([server, machine, repositoryId]))
    .digest('hex')
  return join(stateDir, `vsphere-${key.slice(0, 32)}.json`)
}

/** Oldest first; none where there is no such file or it is not one. */
export async function readTracked(file: string): Promise<readonly TrackedPoint[]> {
  try {
    await using handle = await open(file, 'r')
    const bytes = new Uint8Array(MAX_BYTES + 1)
    const { bytesRead } = await handle.read(bytes, 0, bytes.length, 0)
    const limits = { maxBytes: MAX_BYTES, maxDepth: 8 }
    return recordSchema.parse(
      parseJson(bytes.subarray(0, bytesRead), file, 'io-error', limits)).points
  } catch {
    return []
  }
}

/** Replaces the file, durably. Throws what the file system says. */
export async function writeTracked(
  file: string, points: readonly TrackedPoint[]): Promise<void> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 })
  const part = `${file}.part`
  {
    await using handle = await open(part, 'w', 0o600)
    await handle.writeFile(JSON.stringify({ version: 1, points }))
    await handle.sync()
  }
  await rename(part, file)
}
