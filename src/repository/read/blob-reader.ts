/** Reads blobs out of packs, verified, from the first of their copies that is sound. */

import { Fault, isFault } from '../../base/fault.ts'
import type { Log } from '../../base/log.ts'
import type { Storage } from '../../storage/mod.ts'
import { openBlob, type BlobKind } from '../format/blob.ts'
import type { MasterKey } from '../format/crypto.ts'
import type { BlobId } from '../format/id.ts'
import type { BlobIndex, BlobLocation } from '../index.ts'

export interface BlobReaderContext {
  readonly storage: Storage
  readonly masterKey: MasterKey
  readonly log: Log
}

/** The plaintext; the buffer is the caller's. Fault: `repository-damaged`, also if none has it. */
export async function readBlobFrom(
  context: BlobReaderContext, index: BlobIndex, kind: BlobKind, id: BlobId, signal: AbortSignal,
): Promise<Uint8Array<ArrayBuffer>> {
  let failure = new Fault('repository-damaged', `no index knows ${kind} blob ${id}`, {
    advice: 'Run "stillpoint check" to see what else is missing.' })
  for (const place of index.lookupAll(kind, id)) {
    try {
      return await readPlace(context, place, signal)
    } catch (error) {
      if (!isFault(error, 'repository-damaged', 'not-found')) throw error
      context.log.error('repository.blob-damaged', { kind, id, pack: place.packId })
      failure = new Fault('repository-damaged',
        `${kind} blob ${id} cannot be read from data/${place.packId}`, {
          cause: error, advice: 'Run "stillpoint check --read-data" to see what else is damaged.' })
    }
  }
  throw failure
}

async function readPlace(
  { storage, masterKey }: BlobReaderContext, place: BlobLocation, signal: AbortSignal,
): Promise<Uint8Array<ArrayBuffer>> {
  const { packId, offset, length } = place
  const file = { kind: 'data', name: packId } as const
  return openBlob(masterKey, place, await storage.get(file, { range: { offset, length } }, signal))
}
