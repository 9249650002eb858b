/**
 * A session at a vCenter or an ESXi host, and calls of its methods.
 *
 * The session is kept alive while the client lives; one that is gone is made anew, once a call. A
 * `missingSet` that says NotAuthenticated is a lost session too (properties.ts), though its answer
 * looks like any other.
 */

import { deadline, throwIfAborted, type Clock } from '../../../base/clock.ts'
import { Fault, isFault } from '../../../base/fault.ts'
import type { Log } from '../../../base/log.ts'
import type { Secret } from '../../../base/secret.ts'
import { printable } from '../../../base/text.ts'
import { faultFrom } from './faults.ts'
import type { HttpsClient } from './https.ts'
import { SoapPort, type CallOptions } from './port.ts'
import { isVimFault, morefOf, textElement, type Moref } from './soap.ts'
import { childAt, childOf, textAt, type XmlElement } from '../../../base/xml.ts'

export interface VimAccount {
  readonly user: string
  readonly password: Secret
}

/** What the server says of itself. Foreign text. */
export interface VimAbout {
  /** `VMware vCenter Server 8.0.3 build-…` */
  readonly fullName: string
  readonly apiVersion: string
  readonly isVcenter: boolean
}

export interface VimServices {
  readonly rootFolder: Moref
  readonly propertyCollector: Moref
  readonly viewManager: Moref
  readonly sessionManager: Moref
  readonly authorizationManager: Moref | undefined
}

export interface VimParts {
  /** Stays the caller's. */
  readonly http: HttpsClient
  readonly account: VimAccount
  readonly clock: Clock
  readonly log: Log
}

const SERVICE_INSTANCE: Moref = { type: 'ServiceInstance', id: 'ServiceInstance' }
/** A session that is idle ends after half an hour by default. */
const KEEP_ALIVE_MS = 5 * 60_000
const LOGOUT_LIMIT_MS = 5_000

export class VimClient implements AsyncDisposable {
  readonly about: VimAbout
  readonly services: VimServices
  readonly port: SoapPort
  readonly clock: Clock
  readonly log: Log
  readonly #account: VimAccount
  /** The session's id, as the authorization manager wants it. */
  #sessionKey = ''
  /** How often was logged in: another number means another session. */
  #logins = 0
  #login: Promise<void> | undefined
  /** What the server said to a new login that it refused. */
  #refusal: Fault | undefined
  #keepAlive: Disposable | undefined
  readonly #closed = new AbortController()

  private constructor(parts: VimParts, port: SoapPort, content: XmlElement | undefined) {
    this.port = port
    this.clock = parts.clock
    this.log = parts.log
    this.#account = parts.account
    this.about = aboutOf(content)
    this.services = servicesOf(content)
  }

  /**
   * Asks who is there, and logs in. Dispose it.
   * Faults: `platform-unreachable`, `platform-protocol`, `platform-refused`, `timed-out`.
   */
  static async connect(parts: VimParts, signal: AbortSignal): Promise<VimClient> {
    const port = new SoapPort(parts.http, parts.clock)
    try {
      const answer = await port.send('RetrieveServiceContent', SERVICE_INSTANCE, '', {}, signal)
      const client = new VimClient(parts, port, childOf(answer, 'returnval'))
      await client.#logIn(signal)
      client.#scheduleKeepAlive()
      return client
    } catch (error) {
      throw faultFrom(error, 'to say what it is')
    }
  }

  get sessionKey(): string {
    return this.#sessionKey
  }

  get session(): number {
    return this.#logins
  }

  /**
   * Calls `method` of `self`; `args` is XML. Resolves with its `…Response` element.
   * Faults: `platform-*`, `timed-out`, and what `faults.ts` makes of the server's own.
   */
  async call(
    method: string, self: Moref, args: string, options: CallOptions, signal: AbortSignal,
  ): Promise<XmlElement> {
    try {
      return await this.callRaw(method, self, args, options, signal)
    } catch (error) {
      throw faultFrom(error, options.doing ?? method)
    }
  }

  /** As `call`, but what the server states as a fault is thrown as `VimFault`. */
  callRaw(
    method: string, self: Moref, args: string, options: CallOptions, signal: AbortSignal,
  ): Promise<XmlElement> {
    return this.inSession(() => this.port.send(method, self, args, options, signal), signal)
  }

  /** Runs `step`, and once more in a new session if it throws NotAuthenticated. */
  async inSession<T>(step: () => Promise<T>, signal: AbortSignal): Promise<T> {
    const session = this.#logins
    try {
      return await step()
    } catch (error) {
      if (!isVimFault(error, 'NotAuthenticated')) throw error
      await this.renew(session, signal)
      return step()
    }
  }

  /** Logs in again, unless that was done since `session`. Faults: as `connect`. */
  async renew(session: number, signal: AbortSignal): Promise<void> {
    throwIfAborted(signal)
    if (this.#logins !== session) return
    // A few wrong passwords lock an account: vCenter's default is five in three minutes.
    if (this.#refusal !== undefined) throw this.#refusal
    this.log.info('vsphere.session-lost', { server: this.port.http.url.host })
    this.#login ??= this.#logIn(signal).finally(() => { this.#login = undefined })
    await this.#login
  }

  async #logIn(signal: AbortSignal): Promise<void> {
    // A login inside a session that lives is refused.
    this.port.forgetSession()
    const { user, password } = this.#account
    const { host } = this.port.http.url
    try {
      const answer = await this.port.send('Login', this.services.sessionManager,
        textElement('userName', user) + textElement('password', password.reveal()),
        { changes: true }, signal)
      this.#sessionKey = textAt(answer, 'returnval', 'key') ?? ''
    } catch (error) {
      const fault = faultFrom(error, `the login of ${printable(user, 64)} at ${host}`)
      if (isFault(fault, 'platform-refused')) this.#refusal = fault
      throw fault
    }
    if (!this.port.hasSession) {
      throw new Fault('platform-protocol', `${host} gave no session at the login`)
    }
    this.#logins++
  }

  #scheduleKeepAlive(): void {
    const { signal } = this.#closed
    this.#keepAlive = this.clock.after(KEEP_ALIVE_MS, () => {
      void this.port.send('CurrentTime', SERVICE_INSTANCE, '', {}, signal)
        .catch((error: unknown) => { this.#missed('vsphere.keep-alive-failed', error) })
        .finally(() => { if (!signal.aborted) this.#scheduleKeepAlive() })
    })
  }

  #missed(event: string, error: unknown): void {
    this.log.debug(event, { message: error instanceof Error ? error.message : String(error) })
  }

  /** Logs out, within its own limit; a session that stays is ended by the server's idle limit. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed.signal.aborted) return
    this.#closed.abort()
    this.#keepAlive?.[Symbol.dispose]()
    if (!this.port.hasSession) return
    using limit = deadline(this.clock, LOGOUT_LIMIT_MS, 'the logout')
    await this.port.send(
      'Logout', this.services.sessionManager, '', { changes: true }, limit.signal)
      .catch((error: unknown) => { this.#missed('vsphere.logout-failed', error) })
    this.port.forgetSession()
  }
}

function aboutOf(content: XmlElement | undefined): VimAbout {
  const about = childAt(content, 'about')
  return {
    fullName: textAt(about, 'fullName') ?? 'vSphere',
    apiVersion: textAt(about, 'apiVersion') ?? '',
    isVcenter: textAt(about, 'apiType') === 'VirtualCenter',
  }
}

function servicesOf(content: XmlElement | undefined): VimServices {
  const service = (name: string): Moref => morefOf(childOf(content, name), `the server's ${name}`)
  return {
    rootFolder: service('rootFolder'),
    propertyCollector: service('propertyCollector'),
    viewManager: service('viewManager'),
    sessionManager: service('sessionManager'),
    authorizationManager: childOf(content, 'authorizationManager') === undefined
      ? undefined : service('authorizationManager'),
  }
}
