/** A flat disk file of a datastore as a block source: ranges over HTTPS. */

import type { IncomingMessage } from 'node:http'
import { finished } from 'node:stream/promises'
import { throwIfAborted } from '../../base/clock.ts'
import { Fault, isFault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import { checkInside, type BlockSource } from '../../disk/mod.ts'
import type { DatastorePath, DatastoreReader } from './datastore.ts'

/** A read is tried so often, with these pauses between: hosts drop calls while they consolidate. */
const PAUSES_MS: readonly number[] = [500, 2_000, 8_000]
/** Opening asks for so much, to see the size and that ranges are served. */
const FIRST_BYTES = 512

/**
 * Opens `file`, which must have exactly `sizeBytes`. Faults: `disk-unreadable`, also where the
 * server serves no ranges or the size differs; those of `DatastoreReader.get`.
 */
export async function openFolderSource(
  reader: DatastoreReader, file: DatastorePath, sizeBytes: number, signal: AbortSignal,
): Promise<BlockSource> {
  const source = new FolderSource(reader, file, sizeBytes)
  await source.read(0, Math.min(FIRST_BYTES, sizeBytes), signal)
  return source
}

class FolderSource implements BlockSource {
  readonly name: string
  readonly sizeBytes: number
  readonly #reader: DatastoreReader
  readonly #file: DatastorePath
  #isClosed = false
  /** So far each answer was as the quick way takes it. */
  #isPlain = true

  constructor(reader: DatastoreReader, file: DatastorePath, sizeBytes: number) {
    this.name = `[${printable(file.datastore, 64)}] ${printable(file.path, 200)}`
    this.sizeBytes = sizeBytes
    this.#reader = reader
    this.#file = file
  }

  async read(
    offset: number, length: number, signal: AbortSignal, memory?: ArrayBuffer,
  ): Promise<Uint8Array<ArrayBuffer>> {
    checkInside(this, offset, length)
    if (length === 0) return new Uint8Array(0)
    for (let attempt = 0; ; attempt++) {
      throwIfAborted(signal)
      if (this.#isClosed) throw new Fault('disk-lost', `${this.name} was closed`)
      try {
        return await this.#readOnce(offset, length, signal, memory)
      } catch (error) {
        const pauseMs = PAUSES_MS[attempt]
        if (pauseMs === undefined || !mayPass(error)) throw error
        await this.#reader.client.clock.sleep(pauseMs, signal)
      }
    }
  }

  async #readOnce(
    offset: number, length: number, signal: AbortSignal, memory: ArrayBuffer | undefined,
  ): Promise<Uint8Array<ArrayBuffer>> {
    const last = offset + length - 1
    if (this.#isPlain) {
      const { status, headers, bytes } = await this.#reader.range(
        this.#file, offset, length, signal, memory)
      this.#checkRange(status, headers.get('content-range'), offset, last)
      if (bytes !== undefined) return bytes
      this.#isPlain = false
    }
    return this.#reader.get(this.#file, `bytes=${offset}-${last}`, async (answer) => {
      this.#checkRange(answer.statusCode, answer.headers['content-range'], offset, last)
      return this.#collect(answer, length)
    }, signal)
  }

  /** What was sent must be what was asked for: of a file that has just the disk's size. */
  #checkRange(
    status: number | undefined, range: string | undefined, offset: number, last: number): void {
    if (status !== 206) {
      throw new Fault('disk-unreadable', `the server serves no ranges of ${this.name}`)
    }
    const [, first, end, total] =
      /^bytes (\d{1,16})-(\d{1,16})\/(\d{1,16})$/.exec(range ?? '') ?? []
    if (Number(total) !== this.sizeBytes) {
      throw new Fault('disk-unreadable',
        `${this.name} has ${total ?? 'an unknown number of'} bytes, the disk ${this.sizeBytes}`, {
          advice: 'It is no flat disk of the size that vSphere states.' })
    }
    if (Number(first) !== offset || Number(end) !== last) {
      throw new Fault('platform-protocol',
        `the server sent another range of ${this.name} than was asked for`)
    }
  }

  async #collect(answer: IncomingMessage, length: number): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = new Uint8Array(length)
    let at = 0
    // By events: TLS hands out 16 KiB at a time, and an iterator makes a promise for each.
    answer.on('data', (chunk: Buffer) => {
      if (at + chunk.length > length) {
        answer.destroy(
          new Fault('platform-protocol', `the server sent too much of ${this.name}`))
      } else bytes.set(chunk, at)
      at += chunk.length
    })
    try {
      await finished(answer)
    } catch (cause) {
      if (isFault(cause)) throw cause
      throw new Fault('platform-unreachable', `an answer for ${this.name} broke off`, {
        cause, retry: 'later' })
    }
    if (at === length) return bytes
    throw new Fault('platform-unreachable', `an answer for ${this.name} ended early`, {
      retry: 'later' })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
  }
}

/** A line that broke, a server that was overtaxed; never a refusal. */
function mayPass(error: unknown): boolean {
  return isFault(error, 'platform-unreachable', 'timed-out', 'disk-unreadable') &&
    error.retry === 'later'
}
