/** A repository that is open: reads snapshots, index, blobs and trees, verified. */

import { mapBounded } from '../base/bounded.ts'
import type { Clock } from '../base/clock.ts'
import { Fault } from '../base/fault.ts'
import type { Log } from '../base/log.ts'
import type { RandomBytes } from '../base/random.ts'
import { printable } from '../base/text.ts'
import type { Storage } from '../storage/mod.ts'
import type { BlobKind } from './format/blob.ts'
import { readBlobFrom } from './read/blob-reader.ts'
import type { RepositoryConfig } from './format/config.ts'
import type { MasterKey } from './format/crypto.ts'
import { goTimeMs } from './format/go-json.ts'
import { parseFileId, type BlobId, type FileId } from './format/id.ts'
import { BlobIndex } from './index.ts'
import { readIndexFile } from './format/index-file.ts'
import {
  acquireLock, removeStaleLocks, type LockKind, type RepositoryLock,
} from './lock.ts'
import { thisProcess, type LockHolder } from './lock-holder.ts'
import type { OpenOptions, Repository } from './repository.ts'
import { parseSnapshotFile, type StoredSnapshot } from './format/snapshot-file.ts'
import { parseTree, type Tree } from './format/tree.ts'
import { TreeCache } from './read/tree-cache.ts'
import { readUnpackedIfThere } from './format/unpacked-file.ts'

/** Small files are read at once this many: enough to hide a store's latency. */
const FILES_IN_FLIGHT = 8

/** An index file is 8 MB of JSON and ten times that once parsed. */
const INDEX_FILES_IN_FLIGHT = 2

export class OpenedRepository implements Repository {
  readonly id: string
  readonly chunkerPolynomial: bigint
  readonly storage: Storage
  readonly masterKey: MasterKey
  readonly random: RandomBytes
  readonly clock: Clock
  readonly log: Log
  #index = new BlobIndex()
  readonly #holder: LockHolder
  readonly #knownSnapshots = new Set<FileId>()
  readonly #loadedIndexFiles = new Set<FileId>()
  readonly #trees = new TreeCache()
  #isIndexLoaded = false

  constructor(
    storage: Storage, masterKey: MasterKey, config: RepositoryConfig, options: OpenOptions) {
    this.id = config.id
    this.chunkerPolynomial = config.chunkerPolynomial
    this.storage = storage
    this.masterKey = masterKey
    this.random = options.random
    this.clock = options.clock
    this.log = options.log
    this.#holder = thisProcess(options.hostname, options.username ?? 'stillpoint', options.clock)
  }

  async lock(kind: LockKind, signal: AbortSignal): Promise<RepositoryLock> {
    return acquireLock(this, kind, this.#holder, signal)
  }

  async unlock(all: boolean, signal: AbortSignal): Promise<number> {
    return removeStaleLocks(this, this.#holder, all, signal)
  }

  async snapshotIds(signal: AbortSignal): Promise<readonly FileId[]> {
    return (await listIds(this.storage, 'snapshots', signal)).sort()
  }

  async snapshot(id: FileId, signal: AbortSignal): Promise<StoredSnapshot> {
    const found = await this.#readSnapshot(id, signal)
    if (found === undefined) throw new Fault('point-not-found', `there is no snapshot ${id}`)
    await this.#seeSnapshots([id], signal)
    return found
  }

  async snapshots(signal: AbortSignal): Promise<readonly StoredSnapshot[]> {
    const ids = await this.snapshotIds(signal)
    const found: StoredSnapshot[] = []
    const read = (id: FileId): Promise<StoredSnapshot | undefined> => this.#readSnapshot(id, signal)
    for await (const snapshot of mapBounded(ids, { inFlight: FILES_IN_FLIGHT }, read)) {
      // One that is gone by now was forgotten meanwhile.
      if (snapshot !== undefined) found.push(snapshot)
    }
    await this.#seeSnapshots(ids, signal)
    return found.sort((a, b) => goTimeMs(a.snapshot.time) - goTimeMs(b.snapshot.time))
  }

  async resolveSnapshot(prefix: string, signal: AbortSignal): Promise<StoredSnapshot> {
    const fits = /^[0-9a-f]{1,64}$/.test(prefix)
      ? (await this.snapshotIds(signal)).filter((id) => id.startsWith(prefix))
      : []
    const [id] = fits
    if (id !== undefined && fits.length === 1) return this.snapshot(id, signal)
    const name = printable(prefix, 80)
    if (fits.length === 0) throw new Fault('point-not-found', `no snapshot begins with "${name}"`)
    throw new Fault('point-not-found', `${fits.length} snapshots begin with "${name}"`, {
      advice: 'Give more digits of the id.' })
  }

  get index(): BlobIndex {
    return this.#index
  }

  async loadIndex(signal: AbortSignal): Promise<void> {
    const ids = await listIds(this.storage, 'index', signal)
    const stored = new Set(ids)
    if ([...this.#loadedIndexFiles].some((id) => !stored.has(id))) {
      // A prune replaced them: what they named may be gone, and must not count as stored.
      this.#index = new BlobIndex()
      this.#loadedIndexFiles.clear()
    }
    const missing = ids.filter((id) => !this.#loadedIndexFiles.has(id))
    const read = async (id: FileId): Promise<{ id: FileId; json: Uint8Array | undefined }> =>
      ({ id, json: await readUnpackedIfThere(this.storage, this.masterKey, 'index', id, signal) })
    const bounds = { inFlight: INDEX_FILES_IN_FLIGHT }
    for await (const { id, json } of mapBounded(missing, bounds, read)) {
      if (json === undefined) continue
      for (const pack of readIndexFile(json, `index/${id}`)) this.#index.addPack(pack)
      this.#loadedIndexFiles.add(id)
    }
    this.#isIndexLoaded = true
  }

  async readBlob(
    kind: BlobKind, id: BlobId, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    return readBlobFrom(this, this.index, kind, id, signal)
  }

  async readTree(id: BlobId, signal: AbortSignal): Promise<Tree> {
    const kept = this.#trees.get(id)
    if (kept !== undefined) return kept
    const plaintext = await this.readBlob('tree', id, signal)
    const tree = parseTree(plaintext, `tree ${id}`)
    this.#trees.add(id, tree, plaintext.length)
    return tree
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#trees.clear()
  }

  async #readSnapshot(id: FileId, signal: AbortSignal): Promise<StoredSnapshot | undefined> {
    const json = await readUnpackedIfThere(this.storage, this.masterKey, 'snapshots', id, signal)
    return json && { id, snapshot: parseSnapshotFile(json, `snapshots/${id}`) }
  }

  async #seeSnapshots(ids: readonly FileId[], signal: AbortSignal): Promise<void> {
    const areNew = ids.some((id) => !this.#knownSnapshots.has(id))
    for (const id of ids) this.#knownSnapshots.add(id)
    if (areNew && this.#isIndexLoaded) await this.loadIndex(signal)
  }
}

/** The names of all files of a kind, in no order. */
export async function listIds(
  storage: Storage, kind: 'index' | 'snapshots' | 'locks', signal: AbortSignal,
): Promise<FileId[]> {
  const ids: FileId[] = []
  for await (const { name } of storage.list(kind, signal)) ids.push(parseFileId(name, `${kind}/`))
  return ids
}
