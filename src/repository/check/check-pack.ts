/** Compares the bytes of a whole pack with what the index says; check-worker.ts runs it. */

import { isFault } from '../../base/fault.ts'
import { ThreadPool } from '../../base/thread-pool.ts'
import { startWorker } from '../../base/worker.ts'
import { openBlob } from '../format/blob.ts'
import type { MasterKey } from '../format/crypto.ts'
import { fileIdOf } from '../format/id.ts'
import type { IndexedPack } from '../format/index-file.ts'
import { readPackHeader, type PackedBlob } from '../format/pack.ts'
import { release } from '../release.ts'
import type { CheckCode } from './check-findings.ts'

/** A whole pack, whose buffer travels, and what the index has of it. */
export interface PackRequest {
  readonly pack: IndexedPack
  readonly file: Uint8Array<ArrayBuffer>
}

/** What is wrong with a pack, always an error. */
export interface PackFinding {
  readonly code: Extract<CheckCode, 'pack-damaged' | 'blob-damaged'>
  readonly message: string
}

export type CheckPool = ThreadPool<PackRequest, readonly PackFinding[]>

export function startCheckPool(key: MasterKey, threads: number): CheckPool {
  const workerData = key.toBytes()
  return new ThreadPool({
    threads, does: 'checks packs',
    here: { answer: (request) => checkPack(key, request), bytesOf },
    start: () => startWorker('./check-worker', import.meta, { workerData }),
  })
}

function bytesOf({ pack, file }: PackRequest): number {
  return pack.blobs.reduce((sum, blob) => sum + blob.uncompressedLength, file.length)
}

/** Opens every blob; nothing of the pack is trusted. Its buffer is given back. */
export function checkPack(key: MasterKey, { pack, file }: PackRequest): readonly PackFinding[] {
  const findings: PackFinding[] = []
  const damaged = (message: string): void => {
    findings.push({ code: 'pack-damaged', message })
  }
  if (fileIdOf(file) !== pack.id) damaged(`data/${pack.id} has other content than its name says`)
  try {
    const header = readPackHeader(file, key, `data/${pack.id}`)
    if (!areSame(header, pack.blobs)) damaged(`data/${pack.id} lists other blobs than the index`)
  } catch (error) {
    damaged(messageOfDamage(error))
  }
  for (const blob of pack.blobs) {
    try {
      release(openBlob(key, blob, file.subarray(blob.offset, blob.offset + blob.length)))
    } catch (error) {
      findings.push({
        code: 'blob-damaged', message: `in data/${pack.id}: ${messageOfDamage(error)}` })
    }
  }
  release(file)
  return findings
}

function messageOfDamage(error: unknown): string {
  if (isFault(error, 'repository-damaged')) return error.message
  throw error
}

function areSame(a: readonly PackedBlob[], b: readonly PackedBlob[]): boolean {
  return a.length === b.length && a.every((one, i) => {
    const other = b[i]
    return one.id === other?.id && one.kind === other.kind && one.offset === other.offset &&
      one.length === other.length && one.uncompressedLength === other.uncompressedLength
  })
}
