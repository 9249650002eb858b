/** Files in datastores, read over HTTPS as `/folder/PATH?dcPath=…&dsName=…`. */

import type { IncomingMessage } from 'node:http'
import { deadline, throwIfAborted } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import type { VimClient } from './vim/client.ts'
import { RangeClient, type RangeAnswer } from './vim/range-client.ts'
import { propertiesOf } from './vim/properties.ts'
import { morefOf, type Moref } from './vim/soap.ts'

/** `[datastore] folder/file` in its parts. */
export interface DatastorePath {
  readonly datastore: string
  /** Without a slash at its beginning; may be empty. */
  readonly path: string
}

/** A call of 4 MiB over a slow line; a host that consolidates answers late. */
const CALL_LIMIT_MS = 120_000
/** Folders in folders, far more than anybody makes. */
const MAX_FOLDERS = 64

/** Fault: `platform-protocol`. */
export function parseDatastorePath(text: string): DatastorePath {
  const parts = /^\[([^\]]{1,256})\] ?([^\r\n]{0,1024})$/.exec(text)
  if (parts !== null) return { datastore: parts[1] ?? '', path: parts[2] ?? '' }
  throw new Fault('platform-protocol', `"${printable(text, 100)}" is no file of a datastore`)
}

/** The folder's file of that name, which must not lead out of the folder. Fault: as above. */
export function fileIn({ datastore, path }: DatastorePath, name: string): DatastorePath {
  const parts = name.split('/')
  if (name === '' || name.length > 512 || parts.some((part) => ['', '.', '..'].includes(part))) {
    throw new Fault('platform-protocol', `"${printable(name, 100)}" is no name of a file`)
  }
  return { datastore, path: path === '' ? name : `${path.replace(/\/$/, '')}/${name}` }
}

export interface Datacenter {
  readonly ref: Moref
  /** Its inventory path: `DC0`, `Folder/DC0`. */
  readonly path: string
}

/** The datacenter that holds `ref`. Fault: `platform-protocol`. */
export async function datacenterOf(
  client: VimClient, ref: Moref, signal: AbortSignal): Promise<Datacenter> {
  const names: string[] = []
  let at: Moref | undefined = ref
  let found: Moref | undefined
  for (let step = 0; at !== undefined && step < MAX_FOLDERS; step++) {
    const { values } = await propertiesOf(client, at, ['name', 'parent'], signal)
    if (at.type === 'Datacenter') found ??= at
    const parent = values.get('parent')
    // The root folder has no name in paths.
    if (found !== undefined && parent !== undefined) names.unshift(values.get('name')?.text ?? '')
    at = parent === undefined ? undefined : morefOf(parent, 'a parent folder')
  }
  if (found !== undefined && names.length > 0) return { ref: found, path: names.join('/') }
  throw new Fault('platform-protocol', `${ref.type} ${ref.id} is in no datacenter`)
}

export class DatastoreReader {
  readonly client: VimClient
  readonly #datacenter: string
  readonly #ranges: RangeClient

  /** `datacenter`: its path. */
  constructor(client: VimClient, datacenter: string) {
    this.client = client
    this.#datacenter = datacenter
    this.#ranges = new RangeClient(client.port.http, client.clock)
  }

  /**
   * Bytes of a file in the quick way; undefined bytes where the answer is not as plain as it takes:
   * then ask by `get`. A session that is gone is made anew once. Faults: as `get`.
   */
  async range(
    file: DatastorePath, offset: number, length: number, signal: AbortSignal,
    memory?: ArrayBuffer,
  ): Promise<RangeAnswer> {
    const { port, clock, session } = this.client
    using limit = deadline(clock, CALL_LIMIT_MS, `reading ${printable(file.path, 100)}`, signal)
    const ask = (): Promise<RangeAnswer> => this.#ranges.read({
      path: this.#urlOf(file), headers: port.cookieHeader, offset, length, memory }, limit.signal)
    try {
      let answer = await ask()
      if (answer.status === 401 || answer.status === 403) {
        await this.client.renew(session, limit.signal)
        answer = await ask()
      }
      checkStatus(answer.status, file)
      return answer
    } catch (error) {
      throwIfAborted(limit.signal)
      throw error
    }
  }

  /**
   * Asks for a file or, with `range`, bytes of it, and hands the answer to `take`, whose limit ends
   * both. A session that is gone is made anew once. Faults: `disk-unreadable` for a file that is
   * not there, `platform-refused` for one that may not be read, `platform-unreachable`,
   * `timed-out`.
   */
  async get<T>(
    file: DatastorePath, range: string | undefined,
    take: (answer: IncomingMessage) => Promise<T>, signal: AbortSignal,
  ): Promise<T> {
    const { port, clock, session } = this.client
    using limit = deadline(clock, CALL_LIMIT_MS, `reading ${printable(file.path, 100)}`, signal)
    const ask = (): Promise<IncomingMessage> => port.http.call({
      method: 'GET', path: this.#urlOf(file),
      headers: { ...port.cookieHeader, ...range === undefined ? {} : { range } },
    }, limit.signal)
    let answer = await ask()
    if (answer.statusCode === 401 || answer.statusCode === 403) {
      answer.destroy()
      await this.client.renew(session, limit.signal)
      answer = await ask()
    }
    try {
      checkStatus(answer.statusCode ?? 0, file)
      return await take(answer)
    } catch (error) {
      throwIfAborted(limit.signal)
      throw error
    } finally {
      // Of an answer that was read to its end the connection serves the next one.
      if (!answer.readableEnded) answer.destroy()
    }
  }

  #urlOf({ datastore, path }: DatastorePath): string {
    const query = new URLSearchParams({ dcPath: this.#datacenter, dsName: datastore })
    return `/folder/${path.split('/').map(encodeURIComponent).join('/')}?${query.toString()}`
  }

  /**
   * Writes a file from its first byte to its last, replacing what is there. `chunks` must come to
   * `sizeBytes`, and tell by coming that they are alive: the pause between two has a limit.
   * Faults: those of `chunks`, `platform-*`, `timed-out`.
   */
  async put(
    file: DatastorePath, sizeBytes: number, chunks: AsyncIterable<Uint8Array>, signal: AbortSignal,
  ): Promise<void> {
    const { port, clock } = this.client
    const stalled = new AbortController()
    const name = printable(file.path, 100)
    let limit = noLimit()
    const beginLimit = (): void => {
      limit[Symbol.dispose]()
      limit = clock.after(CALL_LIMIT_MS, () => {
        stalled.abort(new Fault('timed-out', `writing ${name} stood still`, { retry: 'later' }))
      })
    }
    const watched = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
      for await (const chunk of chunks) {
        beginLimit()
        yield chunk
      }
    }
    beginLimit()
    const both = AbortSignal.any([signal, stalled.signal])
    try {
      const answer = await port.http.call({
        method: 'PUT', path: this.#urlOf(file), changes: true,
        headers: { ...port.cookieHeader, 'content-type': 'application/octet-stream' },
        body: { sizeBytes, chunks: watched() },
      }, both)
      answer.destroy()
      const status = answer.statusCode ?? 0
      if (status === 401 || status === 403 || status < 200 || status > 299) {
        throw new Fault('platform-refused', `the server answered ${status} to writing ${name}`, {
          advice: 'Give the account Datastore.FileManagement, and room in the datastore.' })
      }
    } catch (error) {
      throwIfAborted(both)
      throw error
    } finally {
      limit[Symbol.dispose]()
    }
  }

  /** All of a small file; undefined if there is none. Faults: as `get`, `platform-protocol`. */
  async small(
    file: DatastorePath, maxBytes: number, signal: AbortSignal,
  ): Promise<Uint8Array | undefined> {
    try {
      return await this.get(file, undefined, (answer) => collect(answer, maxBytes, file), signal)
    } catch (error) {
      if (error instanceof FileMissing) return undefined
      throw error
    }
  }
}

function noLimit(): Disposable {
  return { [Symbol.dispose]: () => {} }
}

class FileMissing extends Fault {}

function checkStatus(status: number, { datastore, path }: DatastorePath): void {
  const name = `[${printable(datastore, 64)}] ${printable(path, 200)}`
  if (status === 200 || status === 206) return
  if (status === 404) {
    throw new FileMissing('disk-unreadable', `${name} is not there`)
  }
  if (status === 401 || status === 403) {
    throw new Fault('platform-refused', `${name} may not be read`, {
      advice: 'Give the account Datastore.Browse and Datastore.FileManagement there.' })
  }
  throw new Fault('disk-unreadable', `the server answered ${status} for ${name}`, {
    retry: status >= 500 ? 'later' : 'never',
    advice: 'Files of vSAN, of virtual volumes and of encrypted machines cannot be read so.' })
}

async function collect(
  answer: IncomingMessage, maxBytes: number, { path }: DatastorePath): Promise<Uint8Array> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > maxBytes) {
      throw new Fault('platform-protocol',
        `${printable(path, 100)} is longer than the ${maxBytes} bytes allowed`)
    }
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
