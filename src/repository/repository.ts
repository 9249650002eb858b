/** The door to a repository: what is asked of one that is open, and what opening it takes. */

import type { Clock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import type { RandomBytes } from '../base/random.ts'
import type { Secret } from '../base/secret.ts'
import type { Storage } from '../storage/mod.ts'
import type { BlobKind } from './format/blob.ts'
import type { MasterKey } from './format/crypto.ts'
import type { BlobId, FileId } from './format/id.ts'
import type { BlobIndex } from './index.ts'
import type { ScryptCost } from './format/key-file.ts'
import type { LockKind, RepositoryLock } from './lock.ts'
import type { StoredSnapshot } from './format/snapshot-file.ts'
import type { Tree } from './format/tree.ts'

export interface InitOptions {
  readonly password: Secret
  readonly hostname: string
  readonly username: string
  readonly clock: Clock
  readonly random: RandomBytes
  /** How dear each guess of the password is; the default suits all but tests. */
  readonly scryptCost?: ScryptCost
}

export interface OpenOptions {
  readonly password: Secret
  /** This host's name; locks say `stillpoint-<hostname>`, as restic must not judge our process. */
  readonly hostname: string
  /** Named in locks. */
  readonly username?: string
  readonly clock: Clock
  readonly random: RandomBytes
  readonly log: Log
}

/**
 * An open repository. Disposing it forgets what it holds in memory; the storage, and locks that
 * were taken, stay their owners'.
 */
export interface Repository extends AsyncDisposable {
  /** 64 hexadecimal digits, from the repository's config. */
  readonly id: string
  readonly storage: Storage
  readonly masterKey: MasterKey
  readonly random: RandomBytes
  readonly clock: Clock
  readonly log: Log
  /** For content-defined chunking; see polynomial.ts. */
  readonly chunkerPolynomial: bigint

  /**
   * Takes a lock: `shared` to read or add, `exclusive` to remove. Hold it as long as the work goes
   * on and end the work when its `lost` aborts. Faults: `locked`, `repository-damaged`, storage's.
   */
  lock(kind: LockKind, signal: AbortSignal): Promise<RepositoryLock>

  /** Removes stale locks, or with `all` every lock, for an operator; says how many. */
  unlock(all: boolean, signal: AbortSignal): Promise<number>

  /**
   * All snapshots, oldest first. New ones need index files that may be new too, so a loaded index
   * is brought up to date afterwards: in this order nothing they refer to can be missed.
   * Faults: `repository-damaged` if any of them is damaged.
   */
  snapshots(signal: AbortSignal): Promise<readonly StoredSnapshot[]>

  /** The names of all snapshot files, for callers that go on past a damaged one. */
  snapshotIds(signal: AbortSignal): Promise<readonly FileId[]>

  /** One snapshot. Faults: `point-not-found`, `repository-damaged`. */
  snapshot(id: FileId, signal: AbortSignal): Promise<StoredSnapshot>

  /** The one snapshot whose id begins with `prefix`. Fault: `point-not-found`. */
  resolveSnapshot(prefix: string, signal: AbortSignal): Promise<StoredSnapshot>

  /**
   * Reads the index files that are not loaded yet, or all of them where one is gone that was: a
   * prune came between. Call it under the lock that the work is done under; what was loaded before
   * the lock was held may name packs that are gone. Fault: `repository-damaged`.
   */
  loadIndex(signal: AbortSignal): Promise<void>

  /** Empty until `loadIndex`, which may put another in its place. A writer adds what it stored. */
  readonly index: BlobIndex

  /**
   * A blob's plaintext, verified; another copy is tried where one is damaged. The buffer is the
   * caller's. Needs `loadIndex`. Faults: `repository-damaged`, also where no index has it.
   */
  readBlob(kind: BlobKind, id: BlobId, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>>

  /** A directory; the ones read last are kept. Faults as `readBlob`. */
  readTree(id: BlobId, signal: AbortSignal): Promise<Tree>
}
