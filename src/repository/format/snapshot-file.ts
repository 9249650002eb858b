/** Snapshot files: a tree, when, of what, by whom (restic design, "Snapshots"). */

import { z } from 'zod'
import { Fault } from '../../base/fault.ts'
import {
  goObject, goString, goValue, parseGoJson, parseGoTime, parseObject, type GoTime,
} from './go-json.ts'
import { parseBlobId, parseFileId, type BlobId, type FileId } from './id.ts'

export interface SnapshotFile {
  readonly time: GoTime
  readonly parent?: FileId
  readonly tree: BlobId
  readonly paths: readonly string[]
  readonly hostname?: string
  readonly username?: string
  readonly uid?: number
  readonly gid?: number
  readonly excludes?: readonly string[]
  readonly tags?: readonly string[]
  /** The first snapshot's id where this is a rewritten copy: key nothing by the file's id alone. */
  readonly original?: FileId
  readonly programVersion?: string
  readonly summary?: SnapshotSummary
}

/** What the run that made the snapshot counted; bytes and numbers of files. */
export interface SnapshotSummary {
  readonly backupStart: GoTime
  readonly backupEnd: GoTime
  readonly filesNew: number
  readonly filesChanged: number
  readonly filesUnmodified: number
  readonly dirsNew: number
  readonly dirsChanged: number
  readonly dirsUnmodified: number
  readonly dataBlobs: number
  readonly treeBlobs: number
  readonly dataAdded: number
  readonly dataAddedPacked: number
  readonly totalFilesProcessed: number
  readonly totalBytesProcessed: number
}

/** A snapshot and the name of its file. */
export interface StoredSnapshot {
  readonly id: FileId
  readonly snapshot: SnapshotFile
}

const MAX_JSON_BYTES = 16 * 1024 * 1024

/** restic's names of the counts, in its order. */
const COUNTS = [
  ['filesNew', 'files_new'], ['filesChanged', 'files_changed'],
  ['filesUnmodified', 'files_unmodified'], ['dirsNew', 'dirs_new'],
  ['dirsChanged', 'dirs_changed'], ['dirsUnmodified', 'dirs_unmodified'],
  ['dataBlobs', 'data_blobs'], ['treeBlobs', 'tree_blobs'], ['dataAdded', 'data_added'],
  ['dataAddedPacked', 'data_added_packed'], ['totalFilesProcessed', 'total_files_processed'],
  ['totalBytesProcessed', 'total_bytes_processed'],
] as const

/** The file's JSON, as restic writes it. */
export function encodeSnapshotFile(snapshot: SnapshotFile): Uint8Array<ArrayBuffer> {
  const text = (value: string | undefined): string | undefined =>
    value === undefined || value === '' ? undefined : goString(value)
  const number = (value: number | undefined): string | undefined =>
    value === undefined || value === 0 ? undefined : String(value)
  const list = (value: readonly string[] = []): string | undefined =>
    value.length === 0 ? undefined : goValue(value)
  const json = goObject([
    ['time', goString(snapshot.time)],
    ['parent', text(snapshot.parent)],
    ['tree', goString(snapshot.tree)],
    ['paths', goValue(snapshot.paths)],
    ['hostname', text(snapshot.hostname)],
    ['username', text(snapshot.username)],
    ['uid', number(snapshot.uid)],
    ['gid', number(snapshot.gid)],
    ['excludes', list(snapshot.excludes)],
    ['tags', list(snapshot.tags)],
    ['original', text(snapshot.original)],
    ['program_version', text(snapshot.programVersion)],
    ['summary', snapshot.summary === undefined ? undefined : encodeSummary(snapshot.summary)],
  ])
  return new Uint8Array(Buffer.from(json, 'utf8'))
}

function encodeSummary(summary: SnapshotSummary): string {
  return goObject([
    ['backup_start', goString(summary.backupStart)],
    ['backup_end', goString(summary.backupEnd)],
    ...COUNTS.map(([name, key]) => [key, String(summary[name])] as const),
  ])
}

const texts = z.array(z.string().max(65_536)).max(100_000)
const SHAPE = z.object({
  paths: texts.nullish(),
  hostname: z.string().optional(),
  username: z.string().optional(),
  uid: z.int().min(0).max(0xffff_ffff).optional(),
  gid: z.int().min(0).max(0xffff_ffff).optional(),
  excludes: texts.nullish(),
  tags: texts.nullish(),
  program_version: z.string().optional(),
})

/** Reads a file's JSON; unknown fields are left out. Fault: `repository-damaged`, naming `what`. */
export function parseSnapshotFile(json: Uint8Array, what: string): SnapshotFile {
  const fields = parseObject(parseGoJson(json, what, MAX_JSON_BYTES), what)
  const shape = SHAPE.safeParse(fields)
  if (!shape.success) {
    throw new Fault('repository-damaged', `${what} is not a snapshot`, { cause: shape.error })
  }
  const { paths, excludes, tags, program_version: programVersion, ...same } = shape.data
  const { parent, original, summary } = fields
  return {
    time: parseGoTime(fields['time'], what),
    ...(isSet(parent) ? { parent: parseFileId(parent, what) } : {}),
    tree: parseBlobId(fields['tree'], what),
    paths: paths ?? [],
    ...withoutUndefined(same),
    ...(isSet(excludes) ? { excludes } : {}),
    ...(isSet(tags) ? { tags } : {}),
    ...(isSet(original) ? { original: parseFileId(original, what) } : {}),
    ...(isSet(programVersion) ? { programVersion } : {}),
    ...(isSet(summary) ? { summary: parseSummary(summary, what) } : {}),
  }
}

function isSet<T>(value: T): value is NonNullable<T> {
  return value !== undefined && value !== null
}

type Present<T> = { [K in keyof T]?: Exclude<T[K], undefined> }

function withoutUndefined<T extends object>(record: T): Present<T> {
  const entries = Object.entries(record).filter(([, value]) => isSet(value))
  return Object.fromEntries(entries) as Present<T>
}

function parseSummary(value: unknown, what: string): SnapshotSummary {
  const fields = parseObject(value, `the summary of ${what}`)
  const counts = COUNTS.map(([name, key]) => {
    const count = fields[key] ?? 0
    if (typeof count === 'number' && Number.isSafeInteger(count) && count >= 0) return [name, count]
    throw new Fault('repository-damaged', `the summary of ${what} has a bad "${key}"`)
  })
  return {
    backupStart: parseGoTime(fields['backup_start'], what),
    backupEnd: parseGoTime(fields['backup_end'], what),
    ...(Object.fromEntries(counts) as Record<(typeof COUNTS)[number][0], number>),
  }
}
