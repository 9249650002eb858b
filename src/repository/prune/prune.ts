/**
 * Removes what no snapshot needs. In this order, so that a prune killed at any point leaves a whole
 * repository: new packs, their index, the index of what stays, then old index files, then old
 * packs. The next prune goes on from there.
 */

import assert from 'node:assert/strict'
import { forEachBounded } from '../../base/bounded.ts'
import type { StorageFile } from '../../storage/mod.ts'
import type { FileId } from '../format/id.ts'
import { writeConfirmed } from '../write/confirmed-write.ts'
import {
  encodeIndexFile, MAX_BLOBS_PER_INDEX_FILE, type IndexedPack,
} from '../format/index-file.ts'
import type { RepositoryLock } from '../lock.ts'
import { packBytes, TARGET_PACK_BYTES } from '../format/pack.ts'
import { PackSink } from '../write/pack-sink.ts'
import { choosePacks, type MaxUnused, type PackFate, type PackUse } from './prune-plan.ts'
import { repack } from './prune-repack.ts'
import { surveyRepository, type StoredPack, type Survey } from './prune-survey.ts'
import type { Repository } from '../repository.ts'

export interface PruneOptions {
  /** See `DEFAULT_MAX_UNUSED`. */
  readonly maxUnused: MaxUnused
  /** Find out and report what would be done, and do nothing. */
  readonly dryRun: boolean
  /** For a dry run: snapshots that count as forgotten. */
  readonly ignoring?: ReadonlySet<FileId>
  /** For tests: new packs are finished at this size; the default is restic's. */
  readonly packBytes?: number
}

/** Counts and bytes are those of stored files; with `dryRun` the new ones are estimated. */
export interface PruneReport {
  readonly dryRun: boolean
  readonly snapshots: number
  readonly usedBlobs: number
  readonly unusedBlobs: number
  /** Needed blobs that were stored more than once. */
  readonly duplicateBlobs: number
  readonly keptPacks: number
  /** Removed without copying anything out of them. */
  readonly removedPacks: number
  readonly repackedPacks: number
  readonly writtenPacks: number
  /** Packs that no index named: a crashed run had left them. */
  readonly orphanPacks: number
  /** All packs, before and after. */
  readonly bytesBefore: number
  readonly bytesAfter: number
  /** Bytes of sealed blobs that were copied. */
  readonly bytesCopied: number
  /** Bytes of sealed blobs that are in kept packs and not needed. */
  readonly bytesUnusedLeft: number
}

export type PrunePhase =
  | 'snapshots' | 'index' | 'trees' | 'orphans' | 'repack' | 'write-index' | 'remove-index'
  | 'remove-packs'

/** How far a prune is; `total` is undefined while it is not known, as for trees. */
export type OnPruneProgress = (
  phase: PrunePhase, done: number, total: number | undefined) => void

const REMOVALS_IN_FLIGHT = 8

/**
 * Removes packs and blobs that no snapshot needs, under the caller's exclusive `lock` (any lock
 * will do for a dry run). Afterwards `repository.index` names what is gone: load it anew.
 *
 * Where anything that a snapshot needs is missing, nothing is removed: `repository-damaged`. After
 * any fault or abort every snapshot is as whole as it was. Faults: `lock-lost`, those of the store.
 * Memory: about 70 bytes a blob, an index file, and a few packs.
 */
export async function pruneRepository(
  repository: Repository, lock: RepositoryLock, options: PruneOptions,
  onProgress: OnPruneProgress, signal: AbortSignal,
): Promise<PruneReport> {
  assert.ok(options.dryRun || lock.kind === 'exclusive', 'whoever removes needs an exclusive lock')
  const stop = AbortSignal.any([signal, lock.lost])
  const ignoring = options.dryRun ? options.ignoring : undefined
  const survey = await surveyRepository(repository, ignoring ?? new Set(), onProgress, stop)
  const sound = survey.packs.filter((pack) => pack !== undefined)
  const chosen = choosePacks(sound, options.maxUnused).values()
  const fates = survey.packs.map((pack): PackFate =>
    pack === undefined ? 'remove' : chosen.next().value ?? 'keep')
  if (options.dryRun) return reportOf(survey, fates, undefined)
  const written = await new Pruning(
    repository, lock, survey, fates, options.packBytes ?? TARGET_PACK_BYTES, onProgress, stop,
  ).run()
  return reportOf(survey, fates, written)
}

interface Written {
  readonly packs: number
  readonly bytes: number
}

class Pruning {
  readonly #repository: Repository
  readonly #lock: RepositoryLock
  readonly #survey: Survey
  readonly #fates: readonly PackFate[]
  readonly #packBytes: number
  readonly #onProgress: OnPruneProgress
  readonly #signal: AbortSignal

  constructor(
    repository: Repository, lock: RepositoryLock, survey: Survey, fates: readonly PackFate[],
    packBytes: number, onProgress: OnPruneProgress, signal: AbortSignal,
  ) {
    this.#repository = repository
    this.#lock = lock
    this.#survey = survey
    this.#fates = fates
    this.#packBytes = packBytes
    this.#onProgress = onProgress
    this.#signal = signal
  }

  async run(): Promise<Written> {
    const { orphans, indexFiles, broken, packs } = this.#survey
    // First, because they may be what filled the disk, and nothing refers to them.
    await this.#removeAll('orphans', dataFiles(orphans))
    if (this.#fates.every((fate) => fate === 'keep')) return { packs: 0, bytes: 0 }
    const written = await this.#repack()
    await this.#writeIndex()
    // From here on nothing refers to the packs that go.
    await this.#removeAll('remove-index', indexFiles.map((name) => ({ kind: 'index', name })))
    const going = packs.filter((pack, number): pack is PackUse =>
      pack !== undefined && this.#fates[number] !== 'keep')
    await this.#removeAll('remove-packs', dataFiles([...going, ...broken]))
    return written
  }

  async #repack(): Promise<Written> {
    const { packs } = this.#survey
    const total = this.#fates
      .filter((fate, number) => packs[number] !== undefined && fate !== 'keep').length
    const written = { packs: 0, bytes: 0 }
    let done = 0
    const sink = new PackSink({
      repository: this.#repository, lock: this.#lock, signal: this.#signal,
      onStored: ({ sizeBytes }) => {
        written.packs++
        written.bytes += sizeBytes
      },
      onIndexed: () => {},
    })
    await repack({
      repository: this.#repository, survey: this.#survey, fates: this.#fates,
      packBytes: this.#packBytes, sink, signal: this.#signal,
      onPack: () => this.#onProgress('repack', ++done, total),
    })
    return written
  }

  /** Index files of the packs that stay; those that are new have theirs. */
  async #writeIndex(): Promise<void> {
    let pending: IndexedPack[] = []
    let blobs = 0
    let files = 0
    const write = async (): Promise<void> => {
      if (pending.length === 0) return
      const json = encodeIndexFile(pending)
      await writeConfirmed(this.#repository, this.#lock, 'index', json, this.#signal)
      this.#onProgress('write-index', ++files, undefined)
      pending = []
      blobs = 0
    }
    let number = -1
    for (const pack of this.#survey.index.packs()) {
      number++
      if (this.#fates[number] !== 'keep') continue
      if (blobs + pack.blobs.length > MAX_BLOBS_PER_INDEX_FILE) await write()
      pending.push(pack)
      blobs += pack.blobs.length
    }
    await write()
  }

  async #removeAll(phase: PrunePhase, files: readonly StorageFile[]): Promise<void> {
    let done = 0
    await forEachBounded(files, { inFlight: REMOVALS_IN_FLIGHT }, async (file) => {
      await this.#lock.confirm(this.#signal)
      await this.#repository.storage.remove(file, this.#signal)
      this.#onProgress(phase, ++done, files.length)
    })
  }
}

function dataFiles(packs: readonly StoredPack[]): readonly StorageFile[] {
  return packs.map(({ id }) => ({ kind: 'data', name: id }))
}

function reportOf(
  survey: Survey, fates: readonly PackFate[], written: Written | undefined): PruneReport {
  const packs = survey.packs.flatMap((pack, number) =>
    pack === undefined ? [] : [{ ...pack, fate: fates[number] }])
  const sum = (of: readonly StoredPack[]): number =>
    of.reduce((bytes, { sizeBytes }) => bytes + sizeBytes, 0)
  const total = (what: 'usedBlobs' | 'unusedBlobs' | 'usedBytes' | 'unusedBytes',
    of: readonly PackUse[]): number => of.reduce((all, pack) => all + pack[what], 0)
  const kept = packs.filter(({ fate }) => fate === 'keep')
  const repacked = packs.filter(({ fate }) => fate === 'repack')
  const bytesCopied = total('usedBytes', repacked)
  const { packs: writtenPacks, bytes } = written ?? {
    packs: Math.ceil(bytesCopied / TARGET_PACK_BYTES),
    bytes: bytesCopied === 0 ? 0 : packBytes([]) + bytesCopied,
  }
  return {
    dryRun: written === undefined,
    snapshots: survey.snapshots,
    usedBlobs: total('usedBlobs', packs),
    unusedBlobs: total('unusedBlobs', packs),
    duplicateBlobs: survey.duplicateBlobs,
    keptPacks: kept.length,
    removedPacks: packs.length - kept.length - repacked.length,
    repackedPacks: repacked.length,
    writtenPacks,
    orphanPacks: survey.orphans.length,
    bytesBefore: sum([...packs, ...survey.broken, ...survey.orphans]),
    bytesAfter: sum(kept) + bytes,
    bytesCopied,
    bytesUnusedLeft: total('unusedBytes', kept),
  }
}
