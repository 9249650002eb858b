/**
 * The store SPI: named write-once files of a repository, in restic's layout.
 *
 * Implementations: a local directory; later S3, SFTP, REST. Each passes `testing/contract.ts`.
 */

export const FILE_KINDS = ['config', 'keys', 'locks', 'snapshots', 'index', 'data'] as const
export type FileKind = (typeof FILE_KINDS)[number]

/** A file of the store. `config` is the only file of its kind and has the name `config`. */
export interface StorageFile {
  readonly kind: FileKind
  /** 64 lowercase hexadecimal digits, except for `config`. */
  readonly name: string
}

export interface ListedFile {
  readonly name: string
  readonly sizeBytes: number
}

/** Disposing it closes what it keeps open; what is asked of it afterwards opens that again. */
export interface Storage extends AsyncDisposable {
  /** Where it is, without secrets, for messages. */
  readonly location: string

  /** Makes the empty layout. Existing folders are kept. Faults: `storage-failed`, `no-space`. */
  create(signal: AbortSignal): Promise<void>

  /**
   * Stores `parts`, joined, under a name that is not taken; durable and complete when it resolves:
   * no reader ever sees a part of it. An abort or fault leaves no file of that name, or, if the
   * outcome is unknown, the whole one. Faults: `already-exists`, `no-space`, `storage-failed`.
   */
  put(file: StorageFile, parts: readonly Uint8Array[], signal: AbortSignal): Promise<void>

  /**
   * The whole file, or exactly `range` of it; `maxBytes` bounds a whole file. Faults: `not-found`;
   * `repository-damaged` where it is shorter than the range or longer than the bound, which, unlike
   * `storage-failed`, says something of this file and not of the store.
   */
  get(
    file: StorageFile,
    options: { readonly range?: { offset: number; length: number }; readonly maxBytes?: number },
    signal: AbortSignal,
  ): Promise<Uint8Array<ArrayBuffer>>

  /** All complete files of a kind, in no order. Names that are not of the format are left out. */
  list(kind: FileKind, signal: AbortSignal): AsyncIterable<ListedFile>

  /** Removes a file; one that is not there is no fault. */
  remove(file: StorageFile, signal: AbortSignal): Promise<void>
}
