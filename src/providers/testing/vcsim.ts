/** vcsim, govmomi's own vCenter simulator, as a foreign server on loopback (tools/vcsim). */

import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { connect } from 'node:tls'

/** Debian's, or the newest one of `make test-peers`. */
const BINARY = process.env['STILLPOINT_VCSIM'] ??
  resolve(import.meta.dirname, '../../../.cache/vcsim/vcsim')
/** It makes its inventory first: of a thousand machines in some seconds. */
const START_LIMIT_MS = 120_000

/** Why vcsim cannot be used here; undefined if it can. */
export function vcsimMissing(): string | undefined {
  return existsSync(BINARY) ? undefined
    : `vcsim is not built (${BINARY}): run tools/setup.sh tests`
}

export class Vcsim implements AsyncDisposable {
  /** `https://127.0.0.1:PORT/sdk` */
  readonly url: string
  readonly #process: ChildProcess

  private constructor(url: string, child: ChildProcess) {
    this.url = url
    this.#process = child
  }

  /** Starts one, with flags as `tools/vcsim/main.go` has them. It ends with us, come what may. */
  static async start(...flags: readonly string[]): Promise<Vcsim> {
    const child = spawn(BINARY, flags, { stdio: ['pipe', 'pipe', 'ignore'] })
    const limit = setTimeout(() => child.kill('SIGKILL'), START_LIMIT_MS)
    try {
      let text = ''
      for await (const chunk of child.stdout) {
        text += String(chunk)
        if (text.includes('\n')) return new Vcsim(text.trim(), child)
      }
      throw new Error(`vcsim ended before it listened: ${text}`)
    } finally {
      clearTimeout(limit)
    }
  }

  /** Of its certificate: as whoever pins it would read it off the server itself. */
  async fingerprint(): Promise<string> {
    const { hostname, port } = new URL(this.url)
    const socket = connect({ host: hostname, port: Number(port), rejectUnauthorized: false })
    await once(socket, 'secureConnect')
    const shown = socket.getPeerCertificate().fingerprint256
    socket.destroy()
    return shown.replaceAll(':', '').toLowerCase()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return
    const ended = new Promise((resolve) => this.#process.once('exit', resolve))
    this.#process.kill('SIGTERM')
    await ended
  }
}
