/** Writes to a repository: blobs first, then the index, then the snapshot that makes them count. */

import assert from 'node:assert/strict'
import { availableParallelism } from 'node:os'
import { abortable, reasonOf } from '../../base/clock.ts'
import { plaintextLength, sealBlob, type BlobKind } from '../format/blob.ts'
import type { PackTail } from './chunk-messages.ts'
import { ChunkHasher, cutRun } from './chunk-hasher.ts'
import { ChunkPool, type AddedRun } from './chunk-pool.ts'
import { ChunkThreads } from './chunk-threads.ts'
import { writeConfirmed } from './confirmed-write.ts'
import { blobIdOf, type BlobId, type FileId } from '../format/id.ts'
import type { IndexedPack } from '../format/index-file.ts'
import type { RepositoryLock } from '../lock.ts'
import { PackBuilder, type FinishedPack } from '../format/pack.ts'
import { PackSink } from './pack-sink.ts'
import { verifySealed } from './seal-chunk.ts'
import type { Repository } from '../repository.ts'
import { encodeSnapshotFile, type SnapshotFile } from '../format/snapshot-file.ts'
import { encodeTree, type Tree } from '../format/tree.ts'

export interface WriteOptions {
  /**
   * Threads that compress and seal chunks; started with the first disk. Default min(cores, 4).
   * With 0 the calling thread does it.
   */
  readonly workers?: number
  /** Threads that were started before. They stay the caller's, but for those that are taken. */
  readonly threads?: ChunkThreads
  /** Default 3, restic's `auto`, or 2 for chunks of a disk where that gives as much. */
  readonly zstdLevel?: number
  /** Open each blob again after sealing it and compare its hash, before it is stored. Default. */
  readonly verify?: boolean
  /**
   * The lock that the session is under. It is confirmed around each index file and the snapshot: a
   * host that was suspended must not refer to packs that a prune has removed meanwhile.
   */
  readonly lock?: RepositoryLock
}

/** What a session has done so far. */
export interface WriteCounts {
  /** Bytes of chunks read and handed in. */
  readonly bytesRead: number
  /** Bytes of packs stored so far, as they lie in the store. */
  readonly bytesAdded: number
  /** Bytes of the plaintext of the blobs stored so far. */
  readonly plaintextAdded: number
  /** Chunks handed in. Of these, so many were all zeros, and so many stored already. */
  readonly chunks: number
  readonly zeroChunks: number
  readonly knownChunks: number
  /** Blobs stored so far, of each kind. */
  readonly dataBlobs: number
  readonly treeBlobs: number
}

const DEFAULT_MAX_WORKERS = 4

/**
 * Starts writing; brings the index up to date. The caller holds a shared lock of the repository
 * until the session is disposed. Once `signal` is aborted, a thread dies or the store fails, every
 * call fails with that reason. A session disposed before `saveSnapshot` leaves nothing but packs
 * that no snapshot refers to.
 */
export async function beginWrite(
  repository: Repository, options: WriteOptions, signal: AbortSignal,
): Promise<WriteSession> {
  await repository.loadIndex(signal)
  const missing = await missingPacks(repository, signal)
  return new WriteSession(repository, options, missing, signal)
}

/**
 * Packs that an index file names and that are not stored. No program leaves such an index on
 * purpose; but to store a blob once more is cheap beside a restore point without it.
 */
async function missingPacks(
  { storage, index, log }: Repository, signal: AbortSignal): Promise<ReadonlySet<string>> {
  const missing = new Set<string>(index.packIds())
  for await (const { name } of storage.list('data', signal)) missing.delete(name)
  if (missing.size > 0) log.error('repository.packs-missing', { packs: missing.size })
  return missing
}

export class WriteSession implements AsyncDisposable {
  readonly #repository: Repository
  readonly #options: WriteOptions
  readonly #missingPacks: ReadonlySet<string>
  readonly #stop = new AbortController()
  readonly #sink: PackSink
  /**
   * Blobs of this session that no index file names yet. The repository's index must not know them:
   * if this session fails, a later one would refer to packs that no index file names.
   */
  readonly #claimed = new Set<string>()
  readonly #builders: Record<BlobKind, PackBuilder>
  readonly #stopListening: () => void
  readonly #hasher = new ChunkHasher()
  #pool: ChunkPool | undefined
  #isFlushed = true
  #counts = {
    bytesRead: 0, bytesAdded: 0, plaintextAdded: 0, chunks: 0, zeroChunks: 0, knownChunks: 0,
    dataBlobs: 0, treeBlobs: 0,
  }

  /** Use `beginWrite`. */
  constructor(
    repository: Repository, options: WriteOptions, missingPacks: ReadonlySet<string>,
    signal: AbortSignal,
  ) {
    this.#repository = repository
    this.#missingPacks = missingPacks
    this.#options = options
    this.#sink = new PackSink({
      repository, lock: options.lock, signal: this.#stop.signal,
      onStored: (pack) => this.#noteStored(pack),
      onIndexed: (pack) => this.#noteIndexed(pack),
    })
    this.#builders = { data: this.#newBuilder('data'), tree: this.#newBuilder('tree') }
    const onAbort = (): void => this.#fail(reasonOf(signal))
    signal.addEventListener('abort', onAbort, { once: true })
    this.#stopListening = () => signal.removeEventListener('abort', onAbort)
    if (signal.aborted) onAbort()
  }

  /** Aborted with the reason once the session has failed. */
  get signal(): AbortSignal {
    return this.#stop.signal
  }

  /** How many threads there are, or will be once a run is added. */
  get workers(): number {
    const { workers = Math.min(availableParallelism(), DEFAULT_MAX_WORKERS) } = this.#options
    return Math.max(0, workers)
  }

  get counts(): WriteCounts {
    return { ...this.#counts }
  }

  /** Stores one blob, 1 byte to a few MiB, on this thread: for documents, not for disks. */
  async saveData(bytes: Uint8Array): Promise<BlobId> {
    return this.#save('data', bytes)
  }

  /** Stores a directory. Its nodes are in order of their names. */
  async saveTree(tree: Tree): Promise<BlobId> {
    return this.#save('tree', encodeTree(tree))
  }

  /**
   * Cuts `bytes` into chunks of `chunkBytes` (the last one shorter) and stores the new ones, on the
   * threads. Takes the buffer away, which is in the result. Calls may overlap, but each holds its
   * bytes until it resolves: the caller bounds them.
   */
  async addRun(bytes: Uint8Array<ArrayBuffer>, chunkBytes: number): Promise<AddedRun> {
    this.#beginChange()
    const length = bytes.length
    const run = this.workers === 0 ? await this.#addRunHere(bytes, chunkBytes)
      : await (this.#pool ??= this.#startPool()).add(bytes, chunkBytes)
    this.#counts.bytesRead += length
    this.#counts.chunks += run.ids.length
    this.#counts.zeroChunks += run.zeroChunks
    return run
  }

  /** Makes all blobs durable, then the index files that name them. No other call is under way. */
  async flush(signal: AbortSignal): Promise<void> {
    this.#stop.signal.throwIfAborted()
    const onAbort = (): void => this.#fail(reasonOf(signal))
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      if (signal.aborted) onAbort()
      await abortable(this.#flush(), this.#stop.signal)
    } catch (error) {
      this.#fail(error)
      throw this.#stop.signal.reason
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }

  /** Stores a snapshot of what was flushed; now it counts. Faults: those of `Storage.put`. */
  async saveSnapshot(snapshot: SnapshotFile, signal: AbortSignal): Promise<FileId> {
    assert(this.#isFlushed, 'flush before the snapshot')
    this.#stop.signal.throwIfAborted()
    const json = encodeSnapshotFile(snapshot)
    const stop = AbortSignal.any([signal, this.#stop.signal])
    return writeConfirmed(this.#repository, this.#options.lock, 'snapshots', json, stop)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopListening()
    this.#fail(reasonOf(AbortSignal.abort()))
    await this.#pool?.[Symbol.asyncDispose]()
  }

  async #flush(): Promise<void> {
    for (const tail of await this.#pool?.finish() ?? []) await this.#addTail(tail)
    await this.#finishPack('data')
    await this.#finishPack('tree')
    await this.#sink.flush()
    this.#isFlushed = true
  }

  #startPool(): ChunkPool {
    return new ChunkPool({
      workers: this.workers,
      threads: this.#options.threads ?? new ChunkThreads(0),
      key: this.#repository.masterKey.toBytes(),
      zstdLevel: this.#options.zstdLevel,
      verify: this.#options.verify ?? true,
      claim: (id) => {
        const isNew = this.#claim('data', id)
        if (!isNew) this.#counts.knownChunks++
        return isNew
      },
      storePack: (pack) => this.#sink.put(pack),
      onFailure: (error) => this.#fail(error),
    })
  }

  async #addRunHere(
    bytes: Uint8Array<ArrayBuffer>, chunkBytes: number): Promise<AddedRun> {
    const chunks = cutRun(bytes, chunkBytes)
    const run = this.#hasher.hash(chunks, chunkBytes)
    for (const [at, id] of run.ids.entries()) {
      const chunk = chunks[at]
      assert(chunk !== undefined)
      if (this.#claim('data', id)) await this.#seal('data', id, chunk)
      else this.#counts.knownChunks++
    }
    return { ...run, memory: bytes.buffer }
  }

  /** True if the blob is neither stored nor on its way; it is on its way from here on. */
  #claim(kind: BlobKind, id: BlobId): boolean {
    if (this.#isStored(kind, id)) return false
    const claim = `${kind}/${id}`
    if (this.#claimed.has(claim)) return false
    this.#claimed.add(claim)
    return true
  }

  #isStored(kind: BlobKind, id: BlobId): boolean {
    const { index } = this.#repository
    if (this.#missingPacks.size === 0) return index.has(kind, id)
    return index.lookupAll(kind, id).some(({ packId }) => !this.#missingPacks.has(packId))
  }

  async #save(kind: BlobKind, plaintext: Uint8Array): Promise<BlobId> {
    this.#beginChange()
    const id = blobIdOf(plaintext)
    if (this.#claim(kind, id)) await this.#seal(kind, id, plaintext)
    return id
  }

  async #seal(kind: BlobKind, id: BlobId, plaintext: Uint8Array): Promise<void> {
    const { masterKey, random } = this.#repository
    const { zstdLevel, verify = true } = this.#options
    const blob = sealBlob(masterKey, plaintext, random, zstdLevel)
    if (verify) verifySealed(masterKey, kind, id, blob)
    await this.#addSealed(kind, id, blob.sealed, blob.uncompressedLength)
  }

  async #addTail({ bytes, blobs }: PackTail): Promise<void> {
    for (const { id, offset, length, uncompressedLength } of blobs) {
      const sealed = bytes.subarray(offset, offset + length)
      await this.#addSealed('data', id, sealed, uncompressedLength)
    }
  }

  async #addSealed(
    kind: BlobKind, id: BlobId, sealed: Uint8Array, uncompressedLength: number): Promise<void> {
    const builder = this.#builders[kind]
    builder.add(id, sealed, uncompressedLength)
    if (builder.isFull) await this.#finishPack(kind)
  }

  async #finishPack(kind: BlobKind): Promise<void> {
    const builder = this.#builders[kind]
    if (builder.blobCount === 0) return
    this.#builders[kind] = this.#newBuilder(kind)
    try {
      await this.#sink.put(builder.finish())
    } catch (error) {
      this.#fail(error)
      throw this.#stop.signal.reason
    }
  }

  #newBuilder(kind: BlobKind): PackBuilder {
    return new PackBuilder(kind, this.#repository.masterKey, this.#repository.random)
  }

  #noteStored(pack: FinishedPack): void {
    this.#counts.bytesAdded += pack.sizeBytes
    for (const blob of pack.blobs) {
      this.#counts[blob.kind === 'tree' ? 'treeBlobs' : 'dataBlobs']++
      this.#counts.plaintextAdded += plaintextLength(blob)
    }
  }

  #noteIndexed(pack: IndexedPack): void {
    this.#repository.index.addPack(pack)
    for (const { kind, id } of pack.blobs) this.#claimed.delete(`${kind}/${id}`)
  }

  #beginChange(): void {
    this.#stop.signal.throwIfAborted()
    this.#isFlushed = false
  }

  #fail(error: unknown): void {
    if (this.#stop.signal.aborted) return
    this.#stop.abort(error)
    this.#pool?.fail(error)
  }
}
