/** A small repository in memory, to be read, or damaged and then read. */

import type { Storage } from '../../storage/mod.ts'
import { openMemoryStorage } from '../../storage/testing/mod.ts'
import { goTime } from '../format/go-json.ts'
import type { BlobId, FileId } from '../format/id.ts'
import { dirNode, fileNode } from '../format/node.ts'
import type { Repository } from '../repository.ts'
import { beginWrite } from '../write/write-session.ts'
import { openTestRepository } from './disk-fixture.ts'

const signal = new AbortController().signal

export interface SmallRepository {
  readonly storage: Storage
  /** Open, its index loaded. */
  readonly repository: Repository
  readonly snapshotId: FileId
  /** `/a` is of two blobs, `/sub/b` of the second of them, `/sub/empty` of none. */
  readonly rootId: BlobId
  readonly subId: BlobId
  readonly dataIds: readonly [BlobId, BlobId]
  /** Names of the stored files of a kind, in order. */
  names(kind: 'data' | 'index' | 'snapshots' | 'keys'): Promise<readonly string[]>
  /** Replaces a file by what `change` makes of its bytes; removes it if that is nothing. */
  change(
    kind: 'data' | 'index' | 'snapshots' | 'keys' | 'config', name: string,
    change: (bytes: Uint8Array<ArrayBuffer>) => Uint8Array | undefined,
  ): Promise<void>
  /** The repository opened anew. */
  reopen(): Promise<Repository>
}

export const SMALL_DATA: readonly [Uint8Array, Uint8Array] = [
  new Uint8Array(Buffer.from('one '.repeat(1000))), new Uint8Array(Buffer.from('two')),
]

export async function makeSmallRepository(): Promise<SmallRepository> {
  const storage = openMemoryStorage()
  const repository = await openTestRepository(storage, signal)
  await using session = await beginWrite(repository, {}, signal)
  const [one, two] = SMALL_DATA
  const dataIds = [await session.saveData(one), await session.saveData(two)] as const
  const subId = await session.saveTree({
    nodes: [fileNode('b', two.length, [dataIds[1]]), fileNode('empty', 0, [])] })
  const rootId = await session.saveTree({
    nodes: [fileNode('a', one.length + two.length, dataIds), dirNode('sub', subId)] })
  await session.flush(signal)
  const snapshotId = await session.saveSnapshot({
    time: goTime(1_700_000_000_000), tree: rootId, paths: ['/small'], hostname: 'test' }, signal)
  return {
    storage, repository, snapshotId, rootId, subId, dataIds,
    names: async (kind) =>
      (await Array.fromAsync(storage.list(kind, signal))).map((file) => file.name).sort(),
    change: async (kind, name, change) => {
      const changed = change(await storage.get({ kind, name }, {}, signal))
      await storage.remove({ kind, name }, signal)
      if (changed !== undefined) await storage.put({ kind, name }, [changed], signal)
    },
    reopen: () => openTestRepository(storage, signal),
  }
}

/** Flips one bit of the byte at `offset`, counted from the end where negative. */
export function flipBit(offset: number): (bytes: Uint8Array<ArrayBuffer>) => Uint8Array {
  return (bytes) => {
    const at = offset < 0 ? bytes.length + offset : offset
    return bytes.with(at, (bytes[at] ?? 0) ^ 1)
  }
}
