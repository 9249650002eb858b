/**
 * An HTTPS server of ours that speaks as a vCenter does, or as none should: alone, or in front of
 * another one to which it passes on what it does not answer itself.
 */

import { createServer, request, type Server } from 'node:https'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { ServerCertificate } from './certificates.ts'

/** One call that came in. */
export interface FrontCall {
  /** Of the SOAP body; empty for other requests. */
  readonly method: string
  readonly path: string
  readonly body: string
  readonly headers: IncomingMessage['headers']
}

/** Writes an answer and returns true, or leaves the call to the server behind. */
export type FrontHandler = (
  call: FrontCall, response: ServerResponse) => boolean | Promise<boolean>

/** A small disk that is uploaded. */
const MAX_CALL_BYTES = 64 * 1024 * 1024

export class SoapFront implements AsyncDisposable {
  /** `https://127.0.0.1:PORT/sdk` */
  readonly url: string
  readonly fingerprint: string
  /** Every call, in order. */
  readonly calls: readonly FrontCall[]
  readonly #server: Server

  private constructor(server: Server, fingerprint: string, calls: readonly FrontCall[]) {
    this.#server = server
    this.calls = calls
    this.fingerprint = fingerprint
    this.url = `https://127.0.0.1:${(server.address() as AddressInfo).port}/sdk`
  }

  /** `behind` is the URL of the server that answers what `handler` does not. */
  static async start(
    certificate: ServerCertificate, handler: FrontHandler, behind?: string): Promise<SoapFront> {
    const calls: FrontCall[] = []
    const server = createServer(certificate, (message, response) => {
      serve(message, response, behind, async (call) => {
        calls.push(call)
        return handler(call, response)
      }).catch(() => { response.destroy() })
    })
    await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
    return new SoapFront(server, certificate.fingerprint, calls)
  }

  countOf(method: string): number {
    return this.calls.filter((call) => call.method === method).length
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => { this.#server.close(resolve) })
    this.#server.closeAllConnections()
    await closed
  }
}

async function serve(
  message: IncomingMessage, response: ServerResponse, behind: string | undefined,
  handle: (call: FrontCall) => Promise<boolean>,
): Promise<void> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of message as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > MAX_CALL_BYTES) throw new Error('a call is too long')
    chunks.push(chunk)
  }
  const bytes = Buffer.concat(chunks)
  const body = message.url === '/sdk' ? bytes.toString('utf8') : ''
  const method = /<soapenv:Body><(\w+)/.exec(body)?.[1] ?? ''
  const path = message.url ?? ''
  if (await handle({ method, path, body, headers: message.headers })) return
  if (behind === undefined) {
    response.writeHead(404).end()
    return
  }
  const { hostname, port } = new URL(behind)
  const { host: _, ...headers } = message.headers
  const onward = request({
    hostname, port, path, method: message.method ?? 'GET', headers,
    rejectUnauthorized: false, // a test's own server on loopback
  }, (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.headers)
    answer.pipe(response)
  })
  onward.once('error', () => { response.destroy() })
  onward.end(bytes)
}

/** A SOAP answer to `method` with this content. */
export function soapAnswer(method: string, content: string): string {
  return soapBody(`<${method}Response xmlns="urn:vim25">${content}</${method}Response>`)
}

/** A SOAP fault of vim25, to be sent with status 500. */
export function soapFaultAnswer(type: string, text = '', detail = ''): string {
  return soapBody('<soapenv:Fault><faultcode>ServerFaultCode</faultcode>' +
    `<faultstring>${text}</faultstring><detail><${type}Fault xmlns="urn:vim25" ` +
    `xsi:type="${type}">${detail}</${type}Fault></detail></soapenv:Fault>`)
}

function soapBody(content: string): string {
  return '<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope ' +
    'xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" ' +
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" ' +
    `xmlns:xsd="http://www.w3.org/2001/XMLSchema"><soapenv:Body>${content}` +
    '</soapenv:Body></soapenv:Envelope>'
}
