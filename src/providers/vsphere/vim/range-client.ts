/**
 * Reads byte ranges over HTTPS with half the processor time of Node's own HTTP client.
 *
 * A range is one request on a connection that is kept, and its answer's body goes from TLS right to
 * where it is wanted. Only what such an answer needs is understood (RFC 9112: a head, and a body of
 * `content-length` bytes); of any other answer the status and the head are handed out, and the
 * caller asks for it in the ordinary way.
 */

import type { TLSSocket } from 'node:tls'
import { reasonOf, throwIfAborted, type Clock } from '../../../base/clock.ts'
import { Fault, isFault } from '../../../base/fault.ts'
import { bufferFor } from '../../../disk/mod.ts'
import type { HttpsClient } from './https.ts'

export interface RangeRequest {
  /** With its query; no spaces and nothing beyond ASCII, as a URL has it. */
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly offset: number
  readonly length: number
  /** See `BlockSource.read`. */
  readonly memory?: ArrayBuffer | undefined
}

export interface RangeAnswer {
  readonly status: number
  /** By lowercase name; of one that comes twice the last. */
  readonly headers: ReadonlyMap<string, string>
  /** All of the range; undefined where the answer is no plain one of that length. */
  readonly bytes: Uint8Array<ArrayBuffer> | undefined
}

/** Servers send some hundred bytes, with cookies some thousand. */
const MAX_HEAD_BYTES = 16 * 1024
const MAX_CONNECTIONS = 8
/** One that was idle for longer may be closed by the server just when it is used again. */
const IDLE_MS = 4_000
const HEAD_END = '\r\n\r\n'

interface Ask {
  /** Of the request; it has no body. */
  readonly head: string
  readonly length: number
  readonly memory: ArrayBuffer | undefined
}

interface Connection {
  readonly socket: TLSSocket
  /** Takes what comes in while an answer is waited for. */
  onBytes: ((bytes: Uint8Array) => void) | undefined
  idleSinceMs: number
}

/** Its connections end with the `HttpsClient` that they are from. */
export class RangeClient {
  readonly #http: HttpsClient
  readonly #clock: Clock
  readonly #idle: Connection[] = []
  readonly #waiting: (() => void)[] = []
  #busy = 0

  constructor(http: HttpsClient, clock: Clock) {
    this.#http = http
    this.#clock = clock
  }

  /** Faults: `platform-unreachable`, `platform-protocol`, `platform-refused`. */
  async read(request: RangeRequest, signal: AbortSignal): Promise<RangeAnswer> {
    const { length, memory } = request
    const ask: Ask = { head: this.#head(request), length, memory }
    await this.#turn(signal)
    try {
      const kept = this.#takeIdle()
      if (kept !== undefined) {
        const answer = await this.#ask(kept, ask, signal)
        if (answer !== 'closed') return answer
      }
      const answer = await this.#ask(await this.#connect(signal), ask, signal)
      if (answer !== 'closed') return answer
      throw this.#brokeOff(undefined)
    } finally {
      this.#busy--
      this.#waiting.shift()?.()
    }
  }

  async #turn(signal: AbortSignal): Promise<void> {
    while (this.#busy >= MAX_CONNECTIONS) {
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve)
        signal.addEventListener('abort', () => { resolve() }, { once: true })
      })
      throwIfAborted(signal)
    }
    this.#busy++
  }

  async #connect(signal: AbortSignal): Promise<Connection> {
    let onBytes: (bytes: Uint8Array) => void = () => {}
    const socket = await this.#http.openSocket((bytes) => { onBytes(bytes) }, signal)
    const connection: Connection = { socket, onBytes: undefined, idleSinceMs: 0 }
    onBytes = (bytes) => {
      // Nobody asked: whatever follows would be taken for an answer.
      if (connection.onBytes === undefined) socket.destroy()
      else connection.onBytes(bytes)
    }
    return connection
  }

  #takeIdle(): Connection | undefined {
    const oldestMs = this.#clock.monotonicMs() - IDLE_MS
    for (let found = this.#idle.pop(); found !== undefined; found = this.#idle.pop()) {
      if (found.idleSinceMs >= oldestMs && !found.socket.destroyed) return found
      found.socket.destroy()
    }
    return undefined
  }

  /** `closed`: the server had closed the connection, or did so before it answered a byte. */
  #ask(
    connection: Connection, { head, length, memory }: Ask, signal: AbortSignal,
  ): Promise<RangeAnswer | 'closed'> {
    return new Promise((resolve, reject) => {
      const { socket } = connection
      const answer = new AnswerReader(length, memory)
      const done = (): void => {
        signal.removeEventListener('abort', onAbort)
        connection.onBytes = undefined
        socket.off('close', onClose).off('end', onClose).off('error', onError)
        socket.on('error', () => {}) // of one that idles: it is seen to be destroyed
      }
      const onAbort = (): void => {
        done()
        socket.destroy()
        reject(reasonOf(signal))
      }
      const onError = (error: Error): void => {
        done()
        socket.destroy()
        if (answer.hasBegun) reject(this.#brokeOff(error))
        else resolve('closed')
      }
      const onClose = (): void => { onError(new Error('the connection was closed')) }
      const onBytes = (bytes: Uint8Array): void => {
        try {
          const whole = answer.take(bytes)
          if (whole === undefined) return
          done()
          if (answer.isReusable) this.#keep(connection)
          else socket.destroy()
          resolve(whole)
        } catch (error) {
          done()
          socket.destroy()
          reject(isFault(error) ? error : this.#brokeOff(error))
        }
      }
      if (signal.aborted) return onAbort()
      signal.addEventListener('abort', onAbort, { once: true })
      connection.onBytes = onBytes
      socket.removeAllListeners('error').once('error', onError)
        .once('close', onClose).once('end', onClose)
      socket.write(head, 'latin1')
    })
  }

  #head({ path, headers, offset, length }: RangeRequest): string {
    const lines = Object.entries({
      ...headers, host: this.#http.url.host, range: `bytes=${offset}-${offset + length - 1}` })
    if (/[^\x21-\x7e]/.test(path) || lines.some(([, value]) => /[\r\n]/.test(value))) {
      throw new Fault('platform-protocol', 'a request has characters that it may not have')
    }
    return `GET ${path} HTTP/1.1\r\n${
      lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`
  }

  #keep(connection: Connection): void {
    connection.idleSinceMs = this.#clock.monotonicMs()
    this.#idle.push(connection)
  }

  #brokeOff(cause: unknown): Fault {
    return new Fault('platform-unreachable', `an answer of ${this.#http.url.host} broke off`, {
      cause, retry: 'later' })
  }
}

/** Puts an answer together from what comes in; keeps no piece that it is given. */
class AnswerReader {
  /** The connection can serve another request: all of the answer was read. */
  isReusable = false
  readonly #length: number
  readonly #memory: ArrayBuffer | undefined
  #head = ''
  #answer: RangeAnswer | undefined
  #at = 0

  constructor(length: number, memory: ArrayBuffer | undefined) {
    this.#length = length
    this.#memory = memory
  }

  get hasBegun(): boolean {
    return this.#head !== ''
  }

  /** The answer, once it is there. Throws for one that is none. Fault: `platform-protocol`. */
  take(chunk: Uint8Array): RangeAnswer | undefined {
    if (this.#answer !== undefined) return this.#fill(chunk, this.#answer)
    const before = this.#head.length
    this.#head += Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length).toString('latin1')
    const end = this.#head.indexOf(HEAD_END)
    if (end < 0) {
      if (this.#head.length <= MAX_HEAD_BYTES) return undefined
      throw new Fault('platform-protocol', 'the head of an answer never ends')
    }
    const { status, headers } = parseHead(this.#head.slice(0, end))
    const isPlain = status === 206 && headers.get('content-length') === String(this.#length) &&
      !headers.has('transfer-encoding') && !headers.has('content-encoding')
    if (!isPlain) return { status, headers, bytes: undefined }
    this.#answer = { status, headers, bytes: bufferFor(this.#length, this.#memory) }
    return this.#fill(chunk.subarray(end + HEAD_END.length - before), this.#answer)
  }

  #fill(chunk: Uint8Array, answer: RangeAnswer): RangeAnswer | undefined {
    if (this.#at + chunk.length > this.#length) {
      throw new Fault('platform-protocol', 'the server sent more than it announced')
    }
    answer.bytes?.set(chunk, this.#at)
    this.#at += chunk.length
    if (this.#at < this.#length) return undefined
    this.isReusable = answer.headers.get('connection')?.toLowerCase() !== 'close'
    return answer
  }
}

/** Fault: `platform-protocol`. */
function parseHead(text: string): Pick<RangeAnswer, 'status' | 'headers'> {
  const [first = '', ...lines] = text.split('\r\n')
  const status = /^HTTP\/1\.1 (\d{3})(?: |$)/.exec(first)?.[1]
  const headers = new Map<string, string>()
  for (const line of lines) {
    const [, name, value = ''] = /^([!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}):[ \t]*(.*)$/.exec(line) ?? []
    if (name === undefined) throw new Fault('platform-protocol', 'an answer is no HTTP')
    headers.set(name.toLowerCase(), value.trimEnd())
  }
  if (status === undefined) throw new Fault('platform-protocol', 'an answer is no HTTP/1.1')
  return { status: Number(status), headers }
}
