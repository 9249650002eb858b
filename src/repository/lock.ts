/**
 * Takes, keeps and releases locks: files that each client writes and all clients look for (restic
 * design, "Locks"). A lock keeps `prune` from deleting packs that no index mentions yet.
 */

import { abortable, deadline, isoTime, throwIfAborted, type Clock } from '../base/clock.ts'
import { Fault, isFault } from '../base/fault.ts'
import type { Log } from '../base/log.ts'
import type { RandomBytes } from '../base/random.ts'
import type { Storage } from '../storage/mod.ts'
import type { MasterKey } from './format/crypto.ts'
import { goTime } from './format/go-json.ts'
import { parseFileId, type FileId } from './format/id.ts'
import {
  encodeLockFile, lockedFault, parseLockFile, stalenessOf, type LockFile,
} from './format/lock-file.ts'
import type { LockHolder } from './lock-holder.ts'
import { readUnpackedIfThere, sealUnpacked } from './format/unpacked-file.ts'

export type LockKind = 'shared' | 'exclusive'

/** A lock that is held, and refreshed until it is disposed. Disposing never fails; it reports. */
export interface RepositoryLock extends AsyncDisposable {
  readonly kind: LockKind
  /**
   * Aborts with a Fault once others may not respect the lock: stop the work. `lock-lost`; or, soon
   * after the lock was taken, `locked`, where another came at the same time.
   */
  readonly lost: AbortSignal
  /**
   * Rejects with that Fault unless the lock holds at this moment: by the clocks, because a host
   * that was suspended is told late, and, every few seconds, by the lock's file in the store. Waits
   * for the second look at others. Call it before each step that would do harm without the lock.
   * Faults: `lock-lost`, `locked`, the store's.
   */
  confirm(signal: AbortSignal): Promise<void>
}

/** What a lock needs of the repository. */
export interface LockContext {
  readonly storage: Storage
  readonly masterKey: MasterKey
  readonly random: RandomBytes
  readonly clock: Clock
  readonly log: Log
}

/** Two clients that lock at the same time see one another after this long, as in restic. */
const RECHECK_AFTER_MS = 200

const REFRESH_EVERY_MS = 5 * 60_000

/** How often a refresh is looked into; also how late a suspended host notices that it was. */
const TICK_MS = 60_000

/** Others take a lock for stale after 30 min; restic's clients stop themselves 7.5 min before. */
const LOST_AFTER_MS = 22.5 * 60_000

/** How long it counts that the lock's file was seen: a listing before each removal is dear. */
const CONFIRMED_FOR_MS = 10_000

/** Longest time that one attempt to refresh, or the release, may take. */
const STEP_LIMIT_MS = 60_000

/**
 * Takes a lock, or faults: `locked` where another's conflicts, `repository-damaged` where a lock
 * cannot be read. Locks whose process ended on this host are removed. An abort leaves no lock.
 *
 * An exclusive lock is there after the second look at others. A shared one is there before it: who
 * holds it removes nothing, and what it writes counts after `confirm` only, which waits.
 */
export async function acquireLock(
  context: LockContext, kind: LockKind, holder: LockHolder, signal: AbortSignal,
): Promise<RepositoryLock> {
  await checkOthers(context, kind, holder, undefined, signal)
  throwIfAborted(signal)
  const lock = new HeldLock(context, kind, holder)
  try {
    await lock.write(signal)
    lock.lookAgain()
    if (kind === 'exclusive') await lock.secondLook(signal)
    lock.keep()
    return lock
  } catch (error) {
    await lock[Symbol.asyncDispose]()
    throw error
  }
}

/**
 * Removes locks that are stale by their age or their process; returns how many. `all` removes the
 * live ones too. For an operator's "unlock".
 */
export async function removeStaleLocks(
  context: LockContext, holder: LockHolder, all: boolean, signal: AbortSignal): Promise<number> {
  let removed = 0
  for await (const { name, sizeBytes } of context.storage.list('locks', signal)) {
    const id = parseFileId(name, 'locks/')
    if (!all && sizeBytes > 0) {
      const lock = await readLock(context, id, signal)
      if (lock === undefined) continue
      if (stalenessOf(lock, holder, context.clock.nowMs()) === 'live') continue
    }
    await context.storage.remove({ kind: 'locks', name: id }, signal)
    removed++
  }
  return removed
}

async function checkOthers(
  context: LockContext, kind: LockKind, holder: LockHolder, own: FileId | undefined,
  signal: AbortSignal,
): Promise<void> {
  for await (const { name, sizeBytes } of context.storage.list('locks', signal)) {
    const id = parseFileId(name, 'locks/')
    // A client that died while it wrote left an empty file; it never had the lock.
    if (id === own || sizeBytes === 0) continue
    const lock = await readLock(context, id, signal)
    if (lock === undefined) continue
    const nowMs = context.clock.nowMs()
    const staleness = stalenessOf(lock, holder, nowMs)
    if (staleness === 'gone') {
      context.log.warn('repository.stale-lock-removed', { lock: id, pid: lock.pid })
      await context.storage.remove({ kind: 'locks', name: id }, signal)
    } else if (kind === 'exclusive' || lock.exclusive) {
      throw lockedFault(lock, staleness, nowMs)
    }
  }
}

async function readLock(
  { storage, masterKey }: LockContext, id: FileId, signal: AbortSignal,
): Promise<LockFile | undefined> {
  const what = `locks/${id}`
  try {
    const json = await readUnpackedIfThere(storage, masterKey, 'locks', id, signal)
    return json && parseLockFile(json, what)
  } catch (error) {
    if (!isFault(error, 'repository-damaged')) throw error
    throw new Fault('repository-damaged', `${what} cannot be read, so nobody knows who holds it`, {
      cause: error,
      advice: 'If no other client is at work, run "stillpoint unlock --remove-all".' })
  }
}

class HeldLock implements RepositoryLock {
  readonly kind: LockKind
  readonly #context: LockContext
  readonly #holder: LockHolder
  readonly #lost = new AbortController()
  readonly #closing = new AbortController()
  #id: FileId | undefined
  /** Files of ours that may exist; a put that failed may have taken effect. */
  readonly #files = new Set<FileId>()
  #refreshedAtMs = 0
  #refreshedAtMonotonicMs = 0
  #confirmedAtMonotonicMs = -Infinity
  #secondLook: Promise<void> = Promise.resolve()
  #timer: Disposable | undefined
  #tick: Promise<void> = Promise.resolve()
  #isReleased = false

  constructor(context: LockContext, kind: LockKind, holder: LockHolder) {
    this.#context = context
    this.kind = kind
    this.#holder = holder
  }

  get lost(): AbortSignal {
    return this.#lost.signal
  }

  /** The name of the lock's present file. */
  get id(): FileId | undefined {
    return this.#id
  }

  /** Writes a file that is fresh from now on; the one before is left. */
  async write(signal: AbortSignal): Promise<void> {
    const { storage, masterKey, random, clock } = this.#context
    const nowMs = clock.nowMs()
    const nowMonotonicMs = clock.monotonicMs()
    const { hostname, username, pid, uid, gid } = this.#holder
    const exclusive = this.kind === 'exclusive'
    const json = encodeLockFile({
      time: goTime(nowMs), exclusive, hostname, username, pid, uid, gid })
    const { id, file } = sealUnpacked(masterKey, json, random)
    this.#files.add(id)
    await storage.put({ kind: 'locks', name: id }, [file], signal)
    this.#id = id
    this.#refreshedAtMs = nowMs
    this.#refreshedAtMonotonicMs = nowMonotonicMs
  }

  /** Begins the second look at others; what it finds ends the lock. */
  lookAgain(): void {
    const { clock } = this.#context
    const { signal } = this.#closing
    const look = async (): Promise<void> => {
      await clock.sleep(RECHECK_AFTER_MS, signal)
      await checkOthers(this.#context, this.kind, this.#holder, this.#id, signal)
    }
    this.#secondLook = look().catch((error: unknown) => {
      if (!signal.aborted) this.#lost.abort(error)
    })
  }

  /** Waits for it. Rejects with what ended the lock, if anything has. */
  async secondLook(signal: AbortSignal): Promise<void> {
    await abortable(this.#secondLook, signal)
    throwIfAborted(this.lost)
  }

  /** Starts refreshing. */
  keep(): void {
    this.#timer = this.#context.clock.after(TICK_MS, () => {
      this.#tick = this.#refreshIfDue().then(() => {
        if (!this.#isReleased && !this.#lost.signal.aborted) this.keep()
      })
    })
  }

  async confirm(signal: AbortSignal): Promise<void> {
    await this.secondLook(signal)
    const nowMs = this.#context.clock.monotonicMs()
    if (this.#ageMs() > LOST_AFTER_MS) this.#lose('could not be refreshed in time')
    else if (nowMs - this.#confirmedAtMonotonicMs > CONFIRMED_FOR_MS) {
      // Twice: a refresh during the first listing may hide both the new file and the old.
      const isThere = await this.#isStored(this.#files, signal) ||
        await this.#isStored(this.#files, signal)
      if (isThere) this.#confirmedAtMonotonicMs = nowMs
      else this.#lose('was removed by somebody else')
    }
    throwIfAborted(this.lost)
  }

  async #refreshIfDue(): Promise<void> {
    if (this.#ageMs() > LOST_AFTER_MS) return this.#lose('could not be refreshed in time')
    if (this.#ageMs() < REFRESH_EVERY_MS) return
    const { clock, log } = this.#context
    using limit = deadline(clock, STEP_LIMIT_MS, 'refreshing the lock', this.#closing.signal)
    const old = this.#id
    try {
      if (old !== undefined && !await this.#isStored(new Set([old]), limit.signal)) {
        return this.#lose('was removed by somebody else')
      }
      await this.write(limit.signal)
    } catch (error) {
      if (this.#closing.signal.aborted) return
      log.warn('repository.lock-refresh-failed', {
        reason: error instanceof Error ? error.message : 'unknown',
        refreshedAt: isoTime(this.#refreshedAtMs) })
      return
    }
    if (old !== undefined) await this.#remove(old)
  }

  /** A suspended host stops the monotonic clock, a stepped one the other: the worse one counts. */
  #ageMs(): number {
    const { clock } = this.#context
    return Math.max(
      clock.nowMs() - this.#refreshedAtMs, clock.monotonicMs() - this.#refreshedAtMonotonicMs)
  }

  /** Whether any of `files` is there. */
  async #isStored(files: ReadonlySet<string>, signal: AbortSignal): Promise<boolean> {
    for await (const { name } of this.#context.storage.list('locks', signal)) {
      if (files.has(name)) return true
    }
    return false
  }

  #lose(how: string): void {
    if (this.#lost.signal.aborted) return
    this.#context.log.error('repository.lock-lost', { lock: this.#id, how })
    this.#lost.abort(new Fault('lock-lost', `the lock on the repository ${how}`, {
      retry: 'later', advice: 'Start again; what was stored so far is found and not sent twice.' }))
  }

  /** Removes a file of ours, within its own limit; reports instead of throwing. */
  async #remove(id: FileId): Promise<void> {
    const { clock, log, storage } = this.#context
    using limit = deadline(clock, STEP_LIMIT_MS, 'removing the lock')
    try {
      await storage.remove({ kind: 'locks', name: id }, limit.signal)
      this.#files.delete(id)
    } catch (error) {
      log.warn('repository.lock-left', {
        lock: id, reason: error instanceof Error ? error.message : 'unknown' })
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isReleased) return
    this.#isReleased = true
    this.#timer?.[Symbol.dispose]()
    this.#closing.abort()
    await this.#secondLook
    await this.#tick
    for (const id of this.#files) await this.#remove(id)
  }
}
