/** Ranges over TLS, against a server of ours that sends what it is told to, byte for byte. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { after, before, suite, test } from 'node:test'
import { createServer, type TLSSocket } from 'node:tls'
import { ManualClock } from '../../../base/testing/manual-clock.ts'
import { serverCertificate, type ServerCertificate } from '../../testing/certificates.ts'
import { temporaryFolder, type TemporaryFolder } from '../../testing/temporary-folder.ts'
import { HttpsClient } from './https.ts'
import { RangeClient, type RangeAnswer } from './range-client.ts'

const CONTENT = Buffer.from('0123456789abcdef')
const { signal } = new AbortController()

/** Answers a request, whose head is `request`. */
type Answer = (socket: TLSSocket, request: string) => void

class Bench implements AsyncDisposable {
  readonly clock = new ManualClock()
  readonly client: RangeClient
  readonly requests: string[] = []
  readonly sockets = new Set<TLSSocket>()
  connections = 0
  answer: Answer = plain
  readonly #http: HttpsClient
  readonly #close: () => void

  private constructor(http: HttpsClient, close: () => void) {
    this.#http = http
    this.#close = close
    this.client = new RangeClient(http, this.clock)
  }

  static async start(certificate: ServerCertificate): Promise<Bench> {
    const server = createServer(certificate).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const bench = new Bench(
      new HttpsClient(new URL(`https://127.0.0.1:${port}/`), certificate.fingerprint),
      () => { server.close() })
    server.on('secureConnection', (socket) => {
      bench.connections++
      bench.sockets.add(socket)
      let text = ''
      socket.on('error', () => {}).on('data', (data: Buffer) => {
        text += data.toString('latin1')
        const end = text.indexOf('\r\n\r\n')
        if (end < 0) return
        const request = text.slice(0, end)
        text = text.slice(end + 4)
        bench.requests.push(request)
        bench.answer(socket, request)
      })
    })
    return bench
  }

  read(offset = 2, length = 4, stop = signal): Promise<RangeAnswer> {
    return this.client.read({ path: '/a?b=c', headers: { cookie: 'x=y' }, offset, length }, stop)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#http[Symbol.dispose]()
    for (const socket of this.sockets) socket.destroy()
    this.#close()
  }
}

function plain(socket: TLSSocket, request: string): void {
  socket.write(answerTo(request))
}

function answerTo(request: string, more = ''): Buffer {
  const [, first, last] = /range: bytes=(\d+)-(\d+)/.exec(request) ?? []
  const body = CONTENT.subarray(Number(first), Number(last) + 1)
  return Buffer.concat([Buffer.from('HTTP/1.1 206 Partial Content\r\n' +
    `Content-Range: bytes ${first}-${last}/16\r\nContent-Length: ${body.length}\r\n${more}\r\n`),
  body])
}

const says = (text: string): Answer => (socket) => { socket.write(text) }
const textOf = ({ bytes }: RangeAnswer): string => Buffer.from(bytes ?? []).toString()

suite('ranges over TLS', () => {
  let folder: TemporaryFolder
  let certificate: ServerCertificate
  before(async () => {
    folder = await temporaryFolder()
    certificate = serverCertificate(folder.path)
  })
  after(() => folder?.[Symbol.asyncDispose]())

  test('each is one request of its own, on a connection that is kept', async () => {
    await using bench = await Bench.start(certificate)
    const answer = await bench.read()
    assert.deepEqual([answer.status, textOf(answer)], [206, '2345'])
    assert.equal(answer.headers.get('content-range'), 'bytes 2-5/16')
    assert.equal(textOf(await bench.read(0, 16)), CONTENT.toString())
    assert.equal(bench.connections, 1)
    assert.match(bench.requests[0] ?? '', /^GET \/a\?b=c HTTP\/1\.1\r\ncookie: x=y\r\nhost: 127/)
    // A server that said that it closes is believed, and so is time.
    bench.answer = (socket, request) => { socket.write(answerTo(request, 'Connection: Close\r\n')) }
    assert.equal(textOf(await bench.read()), '2345')
    bench.answer = plain
    assert.equal(textOf(await bench.read()), '2345')
    bench.clock.advance(5_000)
    assert.equal(textOf(await bench.read()), '2345')
    assert.equal(bench.connections, 3)
  })

  test('an answer is one however it is cut', async () => {
    await using bench = await Bench.start(certificate)
    bench.answer = (socket, request) => {
      // One byte a record.
      for (const byte of answerTo(request)) socket.write(Uint8Array.of(byte))
    }
    for (const [offset, length] of [[0, 16], [15, 1]] as const) {
      assert.equal(textOf(await bench.read(offset, length)),
        CONTENT.toString('utf8', offset, offset + length))
    }
  })

  test('what is not plain is handed out without its bytes, on no connection again', async () => {
    await using bench = await Bench.start(certificate)
    const chunked = 'HTTP/1.1 206 P\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n2345\r\n0\r\n\r\n'
    for (const [text, status] of [
      [chunked, 206], ['HTTP/1.1 206 P\r\nContent-Length: 5\r\n\r\n23456', 206],
      ['HTTP/1.1 206 P\r\nContent-Length: 4\r\nContent-Encoding: gzip\r\n\r\n2345', 206],
      ['HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n2345', 200],
      ['HTTP/1.1 401\r\nContent-Length: 0\r\n\r\n', 401],
      ['HTTP/1.1 500 no\r\n\r\n', 500],
    ] as const) {
      bench.answer = says(text)
      const before = bench.connections
      const answer = await bench.read()
      assert.deepEqual([answer.status, answer.bytes], [status, undefined], text)
      bench.answer = plain
      assert.equal(textOf(await bench.read()), '2345')
      assert.equal(bench.connections, before + (before === 0 ? 2 : 1), text)
    }
  })

  test('what is no answer is a fault, and so is one that breaks off', async () => {
    await using bench = await Bench.start(certificate)
    const head = 'HTTP/1.1 206 P\r\nContent-Length: 4\r\n'
    for (const [text, code] of [
      ['SSH-2.0-x\r\n\r\n', 'platform-protocol'], ['HTTP/1.0 206 P\r\n\r\n', 'platform-protocol'],
      [`${head}no header\r\n\r\n`, 'platform-protocol'],
      [`${head}\r\n23456`, 'platform-protocol'],
      [`${head}a: ${'x'.repeat(20_000)}`, 'platform-protocol'],
      [`${head}\r\n23`, 'platform-unreachable'], ['HTTP/1.1 2', 'platform-unreachable'],
      ['', 'platform-unreachable'],
    ] as const) {
      bench.answer = (socket) => { socket.end(text) }
      await assert.rejects(bench.read(), { code }, text.slice(0, 60))
    }
  })

  test('a connection that the server closed meanwhile is made anew, once', async () => {
    await using bench = await Bench.start(certificate)
    await bench.read()
    let isFirst = true
    bench.answer = (socket, request) => {
      if (isFirst) socket.destroy()
      else plain(socket, request)
      isFirst = false
    }
    assert.equal(textOf(await bench.read()), '2345')
    assert.equal(bench.connections, 2)
  })

  test('an abort ends the wait, for a connection too', async () => {
    await using bench = await Bench.start(certificate)
    const abort = new AbortController()
    bench.answer = (socket) => {
      socket.write('HTTP/1.1 206 P\r\nContent-Length: 4\r\n\r\n2')
      setImmediate(() => { abort.abort(new Error('enough')) })
    }
    const all = Array.from({ length: 12 }, () => bench.read(2, 4, abort.signal))
    for (const ended of await Promise.allSettled(all)) {
      assert.match(ended.status === 'rejected' ? String(ended.reason) : '', /enough/)
    }
    assert.ok(bench.connections <= 8, `${bench.connections} connections`)
    bench.answer = plain
    assert.equal(textOf(await bench.read()), '2345')
  })

  test('no header can bring a second request along', async () => {
    await using bench = await Bench.start(certificate)
    await assert.rejects(bench.client.read({
      path: '/a', headers: { cookie: 'x\r\nevil: 1' }, offset: 0, length: 1 }, signal),
    { code: 'platform-protocol' })
    await assert.rejects(bench.client.read({
      path: '/a b', headers: {}, offset: 0, length: 1 }, signal), { code: 'platform-protocol' })
    assert.deepEqual(bench.requests, [])
  })
})
