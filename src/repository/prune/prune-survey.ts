/** Finds out what of a repository is needed, before a prune changes anything. */

import { Fault } from '../../base/fault.ts'
import { CheckFindings } from '../check/check-findings.ts'
import { checkTrees } from '../check/check-trees.ts'
import { parseFileId, type FileId } from '../format/id.ts'
import { BlobIndex } from '../index.ts'
import { readIndexFile } from '../format/index-file.ts'
import { listIds } from '../opened-repository.ts'
import { packBytes, type PackedBlob } from '../format/pack.ts'
import type { PackUse } from './prune-plan.ts'
import type { Repository } from '../repository.ts'
import { readUnpacked } from '../format/unpacked-file.ts'

export interface StoredPack {
  readonly id: FileId
  readonly sizeBytes: number
}

/** Where it is, and how much there is to do; undefined while that is not known. */
export type OnSurveyProgress = (
  phase: 'snapshots' | 'index' | 'trees', done: number, total: number | undefined) => void

/**
 * A repository as it is, with nothing missing that a snapshot needs. Packs are numbered as
 * `index.packs()` yields them. Memory: the index and about 10 bytes a blob.
 */
export interface Survey {
  readonly snapshots: number
  readonly index: BlobIndex
  readonly indexFiles: readonly FileId[]
  /** By pack number; undefined where the file is not stored or is of another size. */
  readonly packs: readonly (PackUse | undefined)[]
  /** Files of indexed packs that have another size; what was in them is not needed. */
  readonly broken: readonly StoredPack[]
  /** Packs that no index names. */
  readonly orphans: readonly StoredPack[]
  /** Needed blobs that are stored more than once. */
  readonly duplicateBlobs: number
  /** The number of the pack whose copy of the blob is to be kept; -1 if no snapshot needs it. */
  keeperOf(blob: PackedBlob): number
}

/**
 * Reads all snapshots but those to be ignored, the index, all trees and the list of packs.
 * Fault: `repository-damaged` where anything of these cannot be read, or a needed blob is missing.
 */
export async function surveyRepository(
  repository: Repository, ignoring: ReadonlySet<FileId>, onProgress: OnSurveyProgress,
  signal: AbortSignal,
): Promise<Survey> {
  const snapshots = (await repository.snapshots(signal)).filter(({ id }) => !ignoring.has(id))
  onProgress('snapshots', snapshots.length, snapshots.length)
  const { index, indexFiles } = await readIndex(repository, onProgress, signal)
  const findings = CheckFindings.ofDamage((event) => {
    if (event.kind === 'progress') onProgress('trees', event.done, event.total)
  }, signal)
  const { used } = await checkTrees(repository, index, snapshots, findings, signal)
  refuseDamaged(findings.errors, findings.kept.map(({ message }) => message))
  const sizes = new Map<FileId, number>()
  for await (const { name, sizeBytes } of repository.storage.list('data', signal)) {
    sizes.set(parseFileId(name, 'data/'), sizeBytes)
  }
  const census = new PackCensus(index, used, sizes)
  refuseDamaged(census.missing, ['packs that are needed are not stored, or are cut short'])
  const indexed = new Set(census.ids)
  return {
    snapshots: snapshots.length,
    index,
    indexFiles,
    packs: census.uses(),
    broken: census.ids.flatMap((id, number) =>
      census.isSound(number) ? [] : storedPack(id, sizes.get(id))),
    orphans: [...sizes].flatMap(([id, size]) => indexed.has(id) ? [] : storedPack(id, size)),
    duplicateBlobs: census.duplicates,
    keeperOf: (blob) => census.keeperOf(blob),
  }
}

function storedPack(id: FileId, sizeBytes: number | undefined): readonly StoredPack[] {
  return sizeBytes === undefined ? [] : [{ id, sizeBytes }]
}

async function readIndex(
  { storage, masterKey }: Repository, onProgress: OnSurveyProgress, signal: AbortSignal,
): Promise<Pick<Survey, 'index' | 'indexFiles'>> {
  // Not the repository's own: that may know packs that are gone, and packs of an open session.
  const index = new BlobIndex()
  const indexFiles = await listIds(storage, 'index', signal)
  for (const [done, id] of indexFiles.entries()) {
    const json = await readUnpacked(storage, masterKey, 'index', id, signal)
    for (const pack of readIndexFile(json, `index/${id}`)) index.addPack(pack)
    onProgress('index', done + 1, indexFiles.length)
  }
  return { index, indexFiles }
}

function refuseDamaged(errors: number, messages: readonly string[]): void {
  if (errors === 0) return
  throw new Fault('repository-damaged',
    `${errors} thing${errors === 1 ? '' : 's'} that snapshots need cannot be found: ${
      messages.slice(0, 3).join('; ')}`, {
      advice: 'Nothing was removed. Run "stillpoint check --read-data" to see which points are ' +
        'concerned, and forget those or bring the missing files back before you prune.' })
}

/** Which packs are sound, and which copy of each needed blob stays. */
class PackCensus {
  readonly ids: readonly FileId[]
  /** Needed blobs of which no copy is stored. */
  missing = 0
  duplicates = 0
  readonly #index: BlobIndex
  readonly #used: Uint8Array
  readonly #sizes: ReadonlyMap<FileId, number>
  /** By the number of a blob's first entry: the entry that stays + 1, or 0. */
  readonly #keepers: Uint32Array
  /** By pack number: what share of it no snapshot needs; -1 for a pack that is not sound. */
  readonly #junkShares: Float64Array

  constructor(index: BlobIndex, used: Uint8Array, sizes: ReadonlyMap<FileId, number>) {
    this.ids = [...index.packIds()]
    this.#index = index
    this.#used = used
    this.#sizes = sizes
    this.#keepers = new Uint32Array(index.size)
    this.#junkShares = this.#weighJunk()
    this.#chooseKeepers()
  }

  isSound(pack: number): boolean {
    return (this.#junkShares[pack] ?? -1) >= 0
  }

  /** The pack that keeps a blob; -1 if it is not needed. */
  keeperOf({ kind, id }: PackedBlob): number {
    const entry = this.#index.entryOf(kind, id)
    const keeper = entry < 0 ? 0 : this.#keepers[entry] ?? 0
    return keeper === 0 ? -1 : this.#index.placeOf(keeper - 1).pack
  }

  /** By pack number; undefined where a pack is not sound. */
  uses(): readonly (PackUse | undefined)[] {
    const uses = this.ids.map((id) => ({
      id, kind: undefined as PackUse['kind'] | undefined, sizeBytes: this.#sizes.get(id) ?? 0,
      usedBlobs: 0, usedBytes: 0, unusedBlobs: 0, unusedBytes: 0,
    }))
    for (let entry = 0; entry < this.#index.size; entry++) {
      const { pack, kind, length } = this.#index.placeOf(entry)
      const use = uses[pack]
      if (use === undefined) continue
      use.kind = use.kind === undefined || use.kind === kind ? kind : 'mixed'
      const isKept = this.#keepers[this.#index.firstEntryOf(entry)] === entry + 1
      use[isKept ? 'usedBlobs' : 'unusedBlobs']++
      use[isKept ? 'usedBytes' : 'unusedBytes'] += length
    }
    return uses.map((use, pack) =>
      this.isSound(pack) ? { ...use, kind: use.kind ?? 'data' } : undefined)
  }

  #weighJunk(): Float64Array {
    const sizes = new Float64Array(this.ids.length).fill(packBytes([]))
    const junk = new Float64Array(this.ids.length)
    for (let entry = 0; entry < this.#index.size; entry++) {
      const place = this.#index.placeOf(entry)
      add(sizes, place.pack, packBytes([place]) - packBytes([]))
      if (this.#used[this.#index.firstEntryOf(entry)] === 0) add(junk, place.pack, place.length)
    }
    return junk.map((bytes, pack) => {
      const sizeBytes = sizes[pack] ?? 0
      return this.#sizes.get(this.ids[pack] ?? NO_PACK) === sizeBytes ? bytes / sizeBytes : -1
    })
  }

  /** Of several copies the one in the pack with the least junk stays: the others may go whole. */
  #chooseKeepers(): void {
    const shareOf = (pack: number): number => this.#junkShares[pack] ?? 1
    const isDuplicate = new Uint8Array(this.#index.size)
    for (let entry = 0; entry < this.#index.size; entry++) {
      const first = this.#index.firstEntryOf(entry)
      const { pack } = this.#index.placeOf(entry)
      if (this.#used[first] === 0 || !this.isSound(pack)) continue
      const keeper = (this.#keepers[first] ?? 0) - 1
      if (keeper >= 0) isDuplicate[first] = 1
      const isBetter = keeper < 0 || shareOf(pack) < shareOf(this.#index.placeOf(keeper).pack)
      if (isBetter) this.#keepers[first] = entry + 1
    }
    for (let entry = 0; entry < this.#index.size; entry++) {
      if (this.#used[entry] === 1 && this.#keepers[entry] === 0) this.missing++
      if (isDuplicate[entry] === 1) this.duplicates++
    }
  }
}

const NO_PACK = '' as FileId

function add(sums: Float64Array, at: number, value: number): void {
  sums[at] = (sums[at] ?? 0) + value
}
