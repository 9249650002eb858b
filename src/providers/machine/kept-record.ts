/**
 * What a provider keeps on this host from one backup of a machine to the next. A lost or damaged
 * file is as none: it may cost a full read, and never more.
 */

import { createHash } from 'node:crypto'
import { mkdir, open, rename } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { z } from 'zod'
import { parseJson } from '../../base/json.ts'

const MAX_BYTES = 1024 * 1024

/** The file of `platform` for what `key` names, the machine and the repository among it. */
export function keptRecordFile(
  stateDir: string, platform: string, key: readonly string[]): string {
  const digest = createHash('sha256').update(JSON.stringify(key)).digest('hex')
  return join(stateDir, `${platform}-${digest.slice(0, 32)}.json`)
}

/** Undefined where there is no such file, or it is not of this shape. */
export async function readKeptRecord<T>(
  file: string, shape: z.ZodType<T>): Promise<T | undefined> {
  try {
    await using handle = await open(file, 'r')
    const bytes = new Uint8Array(MAX_BYTES + 1)
    const { bytesRead } = await handle.read(bytes, 0, bytes.length, 0)
    const limits = { maxBytes: MAX_BYTES, maxDepth: 8 }
    return shape.parse(parseJson(bytes.subarray(0, bytesRead), file, 'io-error', limits))
  } catch {
    return undefined
  }
}

/** Replaces the file, durably. Throws what the file system says. */
export async function keepRecord(file: string, record: object): Promise<void> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 })
  const part = `${file}.part`
  {
    await using handle = await open(part, 'w', 0o600)
    await handle.writeFile(JSON.stringify(record))
    await handle.sync()
  }
  await rename(part, file)
}
