/**
 * What of a shadow copy is not read: clusters of an NTFS that are free, contents of files that are
 * worth nothing in a restored Windows, and of those that the operator leaves out. All of it is
 * zeros in the restore point, which keeps a document that says so.
 */

import type { Log } from '../../base/log.ts'
import { printable } from '../../base/text.ts'
import { inTurns } from '../../base/turns.ts'
import type { Clock } from '../../base/clock.ts'
import {
  readNtfsUse, usedSource, type BlockSource, type KnownUse, type NtfsUse,
} from '../../disk/mod.ts'
import { patternsOn, type LeaveOutPatterns } from './leave-out.ts'
import { WriterClaims } from './session/claims.ts'
import type { WriterMetadata } from './session/documents.ts'

/** Windows makes them anew: memory that was paged out, and that of a sleep. */
export const PAGE_FILES: readonly string[] = ['pagefile.sys', 'swapfile.sys', 'hiberfil.sys']

export const UNREAD_NAME = 'vss-not-read.json'
/** The longest are named; of the others their number and bytes. */
const MAX_NAMED = 500
const MAX_ENTRIES = 200

export interface UnreadPorts {
  readonly log: Log
  readonly clock: Clock
  readonly environment: ReadonlyMap<string, string>
}

export interface SetWriter {
  readonly name: string
  readonly metadata: WriterMetadata | undefined
}

export class UnreadParts {
  readonly #leaveOut: LeaveOutPatterns
  readonly #writers: readonly SetWriter[]
  readonly #ports: UnreadPorts
  readonly #uses = new Map<string, NtfsUse>()
  #claims: Promise<WriterClaims> | undefined

  /** What a component of `writers` names is never left out, but for page files. */
  constructor(leaveOut: LeaveOutPatterns, writers: readonly SetWriter[], ports: UnreadPorts) {
    this.#leaveOut = leaveOut
    this.#writers = writers
    this.#ports = ports
  }

  /**
   * The disk without what need not be read; all of it where that cannot be told. `places`: where
   * its volume is mounted, and its name. Takes `source` over, also when it throws. Faults: those of
   * reading it.
   */
  async without(
    diskId: string, places: readonly string[], source: BlockSource, signal: AbortSignal,
  ): Promise<BlockSource> {
    await using opened = new AsyncDisposableStack()
    opened.use(source)
    const patterns = patternsOn(
      places, this.#leaveOut.patterns, this.#writers.map(({ name }) => name))
    const claims = patterns.length === 0 ? undefined : await this.#claimsOf(signal)
    const use = await readNtfsUse(source, {
      files: PAGE_FILES, patterns,
      isKept: (path) => places.some((place) => claims?.has(`${place}${path}`) === true),
    }, signal)
    this.#uses.set(diskId, use)
    if (use.state === 'unknown') {
      this.#ports.log.info('vss.read-in-full', { diskId, reason: printable(use.reason, 300) })
    }
    opened.move()
    return use.state === 'known' ? usedSource(source, use) : source
  }

  #claimsOf(signal: AbortSignal): Promise<WriterClaims> {
    const { clock, environment } = this.#ports
    this.#claims ??= inTurns(WriterClaims.reading(
      this.#writers.flatMap(({ metadata }) => metadata ?? []), environment), clock, signal)
    return this.#claims
  }

  /** Files of the disk that are zeros; undefined where there are none, or it was not opened. */
  filesAsZeros(diskId: string): { readonly files: number; readonly bytes: number } | undefined {
    const use = this.#uses.get(diskId)
    return use?.state !== 'known' || use.leftOut.length === 0 ? undefined : sumOf(use.leftOut)
  }

  /** Of the disks that were opened; undefined before the first. */
  document(): { readonly name: string; readonly text: string } | undefined {
    if (this.#uses.size === 0) return undefined
    const { patterns, notUnderstood } = this.#leaveOut
    const entries = [...new Set(patterns.map(({ entry }) => entry))].slice(0, MAX_ENTRIES)
    return { name: UNREAD_NAME, text: JSON.stringify({
      disks: [...this.#uses].map(([id, use]) => ({ id, ...use.state === 'known' ? knownPart(use)
        : { freeClusters: 'read', reason: printable(use.reason, 300) } })),
      ...entries.length + notUnderstood.length === 0 ? {} : {
        leaveOut: entries.map((entry) => printable(entry, 300)),
        notUnderstood: notUnderstood.slice(0, MAX_ENTRIES).map(({ entry, why }) =>
          ({ entry: printable(entry, 300), why })) },
    }) }
  }
}

function knownPart(
  { clusterBytes, keptClusters, kept, leftOut, isLookCut }: KnownUse): object {
  const byBytes = leftOut.toSorted((a, b) => b.bytes - a.bytes)
  return {
    freeClusters: 'zeros', clusterBytes, readClusters: keptClusters, clusters: kept.clusters,
    filesAsZeros: byBytes.slice(0, MAX_NAMED).map(({ path, bytes, entry }) => ({
      path: printable(path, 300), bytes,
      ...entry === undefined ? {} : { because: printable(entry, 300) } })),
    ...byBytes.length > MAX_NAMED ? { moreAsZeros: sumOf(byBytes.slice(MAX_NAMED)) } : {},
    ...isLookCut ? { lookCutOff: true } : {},
  }
}

function sumOf(
  files: KnownUse['leftOut']): { readonly files: number; readonly bytes: number } {
  return { files: files.length, bytes: files.reduce((all, { bytes }) => all + bytes, 0) }
}
