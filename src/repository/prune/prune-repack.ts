/** Copies needed blobs out of packs that a prune removes, sealed as they are, but verified. */

import { mapBounded } from '../../base/bounded.ts'
import { Fault, isFault } from '../../base/fault.ts'
import { openBlob, type BlobKind } from '../format/blob.ts'
import type { BlobLocation } from '../index.ts'
import type { IndexedPack } from '../format/index-file.ts'
import { PackBuilder, type PackedBlob } from '../format/pack.ts'
import type { PackSink } from '../write/pack-sink.ts'
import type { PackFate } from './prune-plan.ts'
import type { Survey } from './prune-survey.ts'
import { release } from '../release.ts'
import type { Repository } from '../repository.ts'

/** A read covers a gap of up to this, which costs less than another request. */
const MAX_GAP_BYTES = 64 * 1024
const MAX_RUN_BYTES = 16 * 1024 * 1024
const RUNS_IN_FLIGHT = 4
const RUN_BYTES_IN_FLIGHT = 64 * 1024 * 1024

/** After so many new packs an index file names them: a killed prune need not do it again. */
const INDEX_EVERY_PACKS = 64

export interface RepackOptions {
  readonly repository: Repository
  readonly survey: Survey
  /** By pack number. */
  readonly fates: readonly PackFate[]
  /** A new pack is finished at this size; see `PruneOptions`. */
  readonly packBytes: number
  readonly sink: PackSink
  /** Told of each pack that is dealt with. */
  readonly onPack: () => void
  readonly signal: AbortSignal
}

/** Blobs that lie close together in one pack and are read at once. */
interface Run {
  readonly pack: IndexedPack
  readonly offset: number
  readonly length: number
  readonly blobs: readonly PackedBlob[]
  readonly isLast: boolean
}

/**
 * Writes a sound copy of every needed blob that would go. Where a blob stays in a pack that is
 * kept and its other copies go, the one that stays is opened too: if it is damaged, a sound one is
 * copied first. Nothing is removed. Fault: `repository-damaged` where no copy is sound.
 */
export async function repack(options: RepackOptions): Promise<void> {
  const copier = new BlobCopier(options)
  const bounds = {
    inFlight: RUNS_IN_FLIGHT, inFlightBytes: RUN_BYTES_IN_FLIGHT,
    sizeOf: (run: Run) => run.length,
  }
  const { repository: { storage }, signal } = options
  const fetch = async (run: Run) => {
    if (run.length === 0) return { run, bytes: new Uint8Array(0) }
    const file = { kind: 'data', name: run.pack.id } as const
    const range = { offset: run.offset, length: run.length }
    try {
      return { run, bytes: await storage.get(file, { range }, signal) }
    } catch (error) {
      if (!isFault(error, 'not-found')) throw error
      return { run, bytes: undefined }
    }
  }
  for await (const { run, bytes } of mapBounded(runsToCopy(options), bounds, fetch)) {
    for (const blob of run.blobs) {
      const at = blob.offset - run.offset
      await copier.copy(run.pack, blob, bytes?.slice(at, at + blob.length))
    }
    if (run.isLast) options.onPack()
  }
  await copier.finish()
}

/** Pack by pack, what of those that go is needed from there. */
function* runsToCopy({ survey, fates }: RepackOptions): Generator<Run, void, undefined> {
  let number = -1
  for (const pack of survey.index.packs()) {
    number++
    if (survey.packs[number] === undefined || fates[number] === 'keep') continue
    const wanted = pack.blobs.filter((blob) => {
      const keeper = survey.keeperOf(blob)
      // A copy that stays elsewhere is looked at before this one goes.
      return keeper === number || (keeper >= 0 && fates[keeper] === 'keep')
    })
    yield* runsOf(pack, wanted)
  }
}

function* runsOf(
  pack: IndexedPack, wanted: readonly PackedBlob[]): Generator<Run, void, undefined> {
  let blobs: PackedBlob[] = []
  let offset = 0
  let end = 0
  for (const blob of wanted) {
    const fits = blob.offset - end <= MAX_GAP_BYTES &&
      blob.offset + blob.length - offset <= MAX_RUN_BYTES
    if (blobs.length > 0 && !fits) {
      yield { pack, offset, length: end - offset, blobs, isLast: false }
      blobs = []
    }
    if (blobs.length === 0) offset = blob.offset
    blobs.push(blob)
    end = blob.offset + blob.length
  }
  yield { pack, offset, length: end - offset, blobs, isLast: true }
}

class BlobCopier {
  readonly #options: RepackOptions
  readonly #builders: Record<BlobKind, PackBuilder>
  readonly #copied = new Set<number>()
  #packs = 0

  constructor(options: RepackOptions) {
    this.#options = options
    this.#builders = { data: this.#newBuilder('data'), tree: this.#newBuilder('tree') }
  }

  /** Copies the blob of `pack` unless a sound copy stays; `sealed` is undefined if unreadable. */
  async copy(
    pack: IndexedPack, blob: PackedBlob, sealed: Uint8Array<ArrayBuffer> | undefined,
  ): Promise<void> {
    const { survey, fates } = this.#options
    const entry = survey.index.entryOf(blob.kind, blob.id)
    if (this.#copied.has(entry)) return
    const keeper = survey.keeperOf(blob)
    const places = survey.index.lookupAll(blob.kind, blob.id)
    const staying = fates[keeper] === 'keep'
      ? places.find(({ packId }) => packId === survey.packs[keeper]?.id) : undefined
    if (staying !== undefined && await this.#read(staying) !== undefined) {
      this.#noteCopied(entry, places)
      return
    }
    const others = places.filter((place) =>
      place !== staying && !(place.packId === pack.id && place.offset === blob.offset))
    let sound = sealed !== undefined && this.#isSound(blob, sealed) ? { blob, sealed } : undefined
    for (const place of others) {
      if (sound !== undefined) break
      const bytes = await this.#read(place)
      if (bytes !== undefined) sound = { blob: place, sealed: bytes }
    }
    if (sound === undefined) throw unsound(blob, pack)
    this.#noteCopied(entry, places)
    await this.#add(sound.blob, sound.sealed)
  }

  /** Stores what fills no pack, and makes an index file name all new packs. */
  async finish(): Promise<void> {
    await this.#finishPack('data')
    await this.#finishPack('tree')
    await this.#options.sink.flush()
  }

  /** Only a blob with several copies comes by again. */
  #noteCopied(entry: number, places: readonly BlobLocation[]): void {
    if (places.length > 1) this.#copied.add(entry)
  }

  /** The sealed bytes at a place if they are sound. */
  async #read(place: BlobLocation): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const { repository: { storage }, signal } = this.#options
    const { packId, offset, length } = place
    try {
      const file = { kind: 'data', name: packId } as const
      const sealed = await storage.get(file, { range: { offset, length } }, signal)
      return this.#isSound(place, sealed) ? sealed : undefined
    } catch (error) {
      if (isFault(error, 'not-found')) return undefined
      throw error
    }
  }

  #isSound(blob: PackedBlob, sealed: Uint8Array): boolean {
    const { masterKey, log } = this.#options.repository
    try {
      release(openBlob(masterKey, blob, sealed))
      return true
    } catch (error) {
      if (!isFault(error, 'repository-damaged')) throw error
      log.error('repository.blob-damaged', { kind: blob.kind, id: blob.id })
      return false
    }
  }

  async #add(blob: PackedBlob, sealed: Uint8Array): Promise<void> {
    const builder = this.#builders[blob.kind]
    builder.add(blob.id, sealed, blob.uncompressedLength)
    const isFull = builder.isFull || builder.blobBytes >= this.#options.packBytes
    if (isFull) await this.#finishPack(blob.kind)
  }

  async #finishPack(kind: BlobKind): Promise<void> {
    const builder = this.#builders[kind]
    if (builder.blobCount === 0) return
    this.#builders[kind] = this.#newBuilder(kind)
    await this.#options.sink.put(builder.finish())
    if (++this.#packs % INDEX_EVERY_PACKS === 0) await this.#options.sink.flush()
  }

  #newBuilder(kind: BlobKind): PackBuilder {
    const { masterKey, random } = this.#options.repository
    return new PackBuilder(kind, masterKey, random)
  }
}

function unsound({ kind, id }: PackedBlob, pack: IndexedPack): Fault {
  return new Fault('repository-damaged',
    `${kind} blob ${id} in data/${pack.id} is damaged, and there is no sound copy of it`, {
      advice: 'No pack that an index names was removed. Run "stillpoint check --read-data" to ' +
        'see what else is damaged, and forget the points that need it before you prune again.' })
}
