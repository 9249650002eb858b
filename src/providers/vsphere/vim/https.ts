/**
 * HTTPS to one server whose certificate is verified, or is the one that was pinned.
 *
 * A pinned server's certificate is compared by its SHA-256 fingerprint before the first byte of a
 * request is sent. Nothing is redirected, every call has a limit, and at most so many run at once.
 */

import { Agent, request, type RequestOptions } from 'node:https'
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { connect, type TLSSocket } from 'node:tls'
import { reasonOf, throwIfAborted } from '../../../base/clock.ts'
import { Fault, isFault } from '../../../base/fault.ts'
import { printable } from '../../../base/text.ts'

/** A server's certificate as 64 lowercase hexadecimal digits, SHA-256. */
export type CertificateFingerprint = string & { readonly brand?: 'certificate' }

/** With or without colons, in any case; undefined if it is none. */
export function parseCertificateFingerprint(text: string): CertificateFingerprint | undefined {
  const digits = text.replaceAll(':', '').toLowerCase()
  return /^[0-9a-f]{64}$/.test(digits) ? digits : undefined
}

/** A body that is sent as it comes; such a call `changes`. */
export interface SizedStream {
  readonly sizeBytes: number
  readonly chunks: AsyncIterable<Uint8Array>
}

export interface HttpCall {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT'
  /** With its query. */
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: Uint8Array | string | SizedStream
  /** Changes something: never sent a second time, and on a connection of its own. */
  readonly changes?: boolean
}

/** How many calls run at once: an ESXi host serves few at a time. */
const MAX_CONNECTIONS = 8
/** A connection that was idle for longer may be closed by the server just when it is used again. */
const IDLE_MS = 4_000
/** TLS hands out no more at a time (RFC 8446 §5.1). */
const RECORD_BYTES = 16 * 1024
/** Of a connection alone; the call that waits for it has its own limit, often a shorter one. */
const HANDSHAKE_MS = 30_000

export class HttpsClient implements Disposable {
  readonly url: URL
  readonly #fingerprint: CertificateFingerprint | undefined
  readonly #reading: VerifiedAgent
  readonly #changing: VerifiedAgent
  /** Those that were handed out. */
  readonly #sockets = new Set<TLSSocket>()

  /** Connects at the first call. */
  constructor(url: URL, fingerprint: CertificateFingerprint | undefined) {
    this.url = url
    this.#fingerprint = fingerprint
    const verify = { host: url.host, fingerprint }
    this.#reading = new VerifiedAgent(verify, {
      keepAlive: true, maxSockets: MAX_CONNECTIONS, maxFreeSockets: MAX_CONNECTIONS,
      timeout: IDLE_MS })
    this.#changing = new VerifiedAgent(verify, { keepAlive: false, maxSockets: MAX_CONNECTIONS })
  }

  get isPinned(): boolean {
    return this.#fingerprint !== undefined
  }

  /**
   * Sends the call and resolves with the head of the answer; read its body to the end or destroy
   * it. `signal` ends both. Faults: `platform-unreachable`, or the signal's reason.
   */
  async call(call: HttpCall, signal: AbortSignal): Promise<IncomingMessage> {
    throwIfAborted(signal)
    try {
      return await this.#once(call, signal)
    } catch (error) {
      // The server closed an idle connection while the call was on its way.
      if (!(error instanceof StaleConnection)) throw error
      return this.#once({ ...call, changes: true }, signal)
    }
  }

  #once(call: HttpCall, signal: AbortSignal): Promise<IncomingMessage> {
    const { method, path, headers, body = '' } = call
    return new Promise((resolve, reject) => {
      const sent = request({
        host: this.#host, port: this.url.port || 443, method, path,
        headers: { ...headers, 'content-length': String(
          isStream(body) ? body.sizeBytes : Buffer.byteLength(body)) },
        agent: call.changes === true ? this.#changing : this.#reading,
      })
      let answer: IncomingMessage | undefined
      const onAbort = (): void => {
        const reason = reasonOf(signal)
        answer?.destroy(reason)
        sent.destroy(reason)
        reject(reason) // a call that still waits for its connection says nothing when destroyed
      }
      const done = (): void => signal.removeEventListener('abort', onAbort)
      signal.addEventListener('abort', onAbort, { once: true })
      sent.once('response', (message) => {
        answer = message
        message.once('close', done)
        resolve(message)
      })
      sent.once('error', (cause) => {
        done()
        reject(sent.reusedSocket && answer === undefined && !signal.aborted
          ? new StaleConnection('the connection was closed', { cause })
          : signal.aborted ? reasonOf(signal) : unreachable(this.url, cause))
      })
      if (!isStream(body)) sent.end(body)
      // What breaks is told by the request; an answer before the end is looked at by the caller.
      else pipeline(body.chunks, sent).catch((cause: unknown) => {
        if (!signal.aborted && isFault(cause)) reject(cause)
        sent.destroy(cause instanceof Error ? cause : new Error(String(cause)))
      })
    })
  }

  /**
   * A connection to the server, verified, for the caller alone until this is disposed; `signal`
   * ends the waiting. What comes in goes to `onBytes`, which must take it at once: the bytes are
   * written over by what comes next. The socket itself hands out nothing.
   * Faults: as `call`, `platform-refused`.
   */
  openSocket(onBytes: (bytes: Uint8Array) => void, signal: AbortSignal): Promise<TLSSocket> {
    throwIfAborted(signal)
    return new Promise((resolve, reject) => {
      const socket = this.#changing.connectVerified(
        this.#host, Number(this.url.port || 443), (error) => {
          signal.removeEventListener('abort', onAbort)
          if (error === null) resolve(socket)
          else reject(signal.aborted ? reasonOf(signal) : unreachable(this.url, error))
        }, onBytes)
      this.#sockets.add(socket)
      socket.once('close', () => { this.#sockets.delete(socket) })
      const onAbort = (): void => { socket.destroy(new Error('nobody waits any more')) }
      signal.addEventListener('abort', onAbort, { once: true })
    })
  }

  /** SHA-1 of the server's certificate, `AA:BB:…`, verified as always. Faults: as `call`. */
  async thumbprint(signal: AbortSignal): Promise<string> {
    const socket = await this.openSocket(() => {}, signal)
    const { fingerprint } = socket.getPeerCertificate()
    socket.destroy()
    return fingerprint
  }

  get #host(): string {
    return this.url.hostname.replace(/^\[|\]$/g, '')
  }

  [Symbol.dispose](): void {
    this.#reading.destroy()
    this.#changing.destroy()
    for (const socket of this.#sockets) socket.destroy()
  }
}

function isStream(body: NonNullable<HttpCall['body']>): body is SizedStream {
  return typeof body === 'object' && 'chunks' in body
}

class StaleConnection extends Error {}

interface Verify {
  readonly host: string
  readonly fingerprint: CertificateFingerprint | undefined
}

/** Hands out connections whose server has been verified. */
class VerifiedAgent extends Agent {
  readonly #verify: Verify
  readonly #connecting = new Set<Duplex>()

  constructor(verify: Verify, options: ConstructorParameters<typeof Agent>[0]) {
    super(options)
    this.#verify = verify
  }

  override createConnection(
    options: RequestOptions, callback?: (error: Error | null, stream: Duplex) => void,
  ): undefined {
    const socket = this.connectVerified(options.host ?? 'localhost', Number(options.port),
      (error) => { callback?.(error, socket) })
  }

  /** `done` is called once, with null when the server has been verified. */
  connectVerified(
    host: string, port: number, done: (error: Error | null) => void,
    onBytes?: (bytes: Uint8Array) => void,
  ): TLSSocket {
    const socket = connect({
      host, port, timeout: HANDSHAKE_MS, ...onBytes === undefined ? {} : { onread: {
        buffer: new Uint8Array(RECORD_BYTES),
        callback: (length: number, buffer: Uint8Array): boolean => {
          onBytes(buffer.subarray(0, length))
          return true
        } } },
      ...isAddress(host) ? {} : { servername: host },
      // Verified below instead, so that a refusal can show the fingerprint of what was met.
      rejectUnauthorized: false,
    })
    this.#connecting.add(socket)
    const onTimeout = (): void => { socket.destroy(new Error('nobody answered')) }
    socket.once('timeout', onTimeout)
    const onError = (cause: Error): void => {
      this.#connecting.delete(socket)
      done(cause)
    }
    socket.once('error', onError)
    socket.once('secureConnect', () => {
      this.#connecting.delete(socket)
      socket.off('error', onError).off('timeout', onTimeout)
      const shown = parseCertificateFingerprint(socket.getPeerCertificate().fingerprint256 ?? '')
      const { fingerprint, host: name } = this.#verify
      const isTrusted = fingerprint === undefined
        ? socket.authorized : shown !== undefined && shown === fingerprint
      if (isTrusted) return done(null)
      socket.destroy()
      done(untrusted(name, fingerprint, shown, String(socket.authorizationError)))
    })
    return socket
  }

  override destroy(): void {
    for (const socket of this.#connecting) socket.destroy(new Error('it was closed'))
    super.destroy()
  }
}

function isAddress(host: string): boolean {
  return /^[\d.]+$/.test(host) || host.includes(':')
}

function untrusted(
  host: string, pinned: CertificateFingerprint | undefined,
  shown: CertificateFingerprint | undefined, why: string,
): Fault {
  const met = shown ?? 'none'
  return pinned === undefined
    ? new Fault('platform-refused',
      `the certificate of ${host} is not trusted (${printable(why, 100)}); ` +
      `its SHA-256 fingerprint is ${met}`, {
        advice: 'Compare it with the one the server itself shows; if it is the same, pin it ' +
          '(fingerprint).' })
    : new Fault('platform-refused',
      `the certificate of ${host} is not the pinned one: its SHA-256 fingerprint is ${met}, ` +
      `pinned is ${pinned}`, {
        advice: 'Find out whether the certificate was renewed; if not, somebody is in between.' })
}

function unreachable(url: URL, cause: Error): Fault {
  if (isFault(cause)) return cause
  const code = 'code' in cause ? String(cause.code) : ''
  return new Fault('platform-unreachable', `${url.host} cannot be reached`, {
    cause, retry: 'later',
    advice: code === 'ENOTFOUND' ? 'Check the name in the URL.'
      : code === 'ECONNREFUSED' ? 'Check the port in the URL, and whether the server runs.'
        : 'Check the network and the URL; vSphere speaks HTTPS, as in https://vc.example/sdk.' })
}
