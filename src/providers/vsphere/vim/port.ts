/** Sends one method at a time to the server's SOAP port, and keeps the session's cookie. */

import { deadline, throwIfAborted, type Clock } from '../../../base/clock.ts'
import { Fault } from '../../../base/fault.ts'
import type { HttpsClient } from './https.ts'
import { envelope, responseOf, SOAP_ACTION, type Moref } from './soap.ts'
import { XmlReader, type XmlElement } from '../../../base/xml.ts'
import { SOAP_LIMITS } from './values.ts'

export interface CallOptions {
  /** For the whole answer; default a minute and a half. */
  readonly limitMs?: number
  /** The call changes something, so that it is never sent twice on its own. */
  readonly changes?: boolean
  /** Said of a refusal: `vSphere refused DOING`. */
  readonly doing?: string
}

/** An inventory of thousands of machines takes a busy vCenter many seconds. */
const CALL_LIMIT_MS = 90_000
const COOKIE = 'vmware_soap_session'
const MAX_COOKIE = 1024

export class SoapPort {
  readonly http: HttpsClient
  readonly #clock: Clock
  #cookie: string | undefined

  constructor(http: HttpsClient, clock: Clock) {
    this.http = http
    this.#clock = clock
  }

  /** The header that tells the session; empty without one. */
  get cookieHeader(): Readonly<Record<string, string>> {
    return this.#cookie === undefined ? {} : { cookie: `${COOKIE}=${this.#cookie}` }
  }

  get hasSession(): boolean {
    return this.#cookie !== undefined
  }

  /** Forgets the session, so that the next login is a new one. */
  forgetSession(): void {
    this.#cookie = undefined
  }

  /**
   * The `…Response` element. Throws what the server states as `VimFault`. Faults:
   * `platform-unreachable`, `platform-protocol`, `platform-refused` (certificate), `timed-out`.
   */
  async send(
    method: string, self: Moref, args: string, options: CallOptions, signal: AbortSignal,
  ): Promise<XmlElement> {
    const { host, pathname } = this.http.url
    using limit = deadline(
      this.#clock, options.limitMs ?? CALL_LIMIT_MS, `${method} at ${host}`, signal)
    const answer = await this.http.call({
      method: 'POST', path: pathname, body: envelope(method, self, args),
      headers: {
        'content-type': 'text/xml; charset=utf-8', 'soapaction': SOAP_ACTION,
        ...this.cookieHeader,
      },
      ...options.changes === true ? { changes: true } : {},
    }, limit.signal)
    const status = answer.statusCode ?? 0
    // A SOAP fault comes with status 500.
    if (status !== 200 && status !== 500) {
      answer.destroy()
      throw new Fault('platform-unreachable', `${host} answered ${method} with status ${status}`, {
        retry: status >= 500 ? 'later' : 'never',
        advice: 'Check the URL: it ends with /sdk, as in https://vc.example/sdk.' })
    }
    const reader = new XmlReader(
      `the answer of ${host} to ${method}`, 'platform-protocol', SOAP_LIMITS)
    try {
      for await (const chunk of answer as AsyncIterable<Buffer>) reader.write(chunk)
    } catch (error) {
      throwIfAborted(limit.signal)
      if (error instanceof Fault) throw error
      throw new Fault('platform-unreachable', `the answer of ${host} to ${method} broke off`, {
        cause: error, retry: 'later' })
    }
    const response = responseOf(reader.end(), method)
    this.#keepCookie(answer.headers['set-cookie'])
    return response
  }

  #keepCookie(cookies: readonly string[] | undefined): void {
    for (const cookie of cookies ?? []) {
      const [pair = ''] = cookie.split(';')
      const [name, ...value] = pair.split('=')
      const text = value.join('=').trim()
      // It goes back as it came, quotes included.
      if (name?.trim() === COOKIE && /^[\x21-\x7e]+$/.test(text) && text.length <= MAX_COOKIE) {
        this.#cookie = text
      }
    }
  }
}
