/** Servers that lie, babble, fall silent or hang up, in place of a vCenter. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { after, before, suite, test } from 'node:test'
import { deadline, systemClock, type Clock } from '../../src/base/clock.ts'
import { isFault } from '../../src/base/fault.ts'
import { silentLog } from '../../src/base/log.ts'
import { Secret } from '../../src/base/secret.ts'
import {
  HttpsClient, serverCertificate, SoapFront, soapAnswer, temporaryFolder, VimClient,
  type ServerCertificate, type TemporaryFolder,
} from '../../src/providers/testing/mod.ts'
import { hastyClock } from './hasty-clock.ts'

/** By it the limit of a call, a minute and a half, is over in a second. */
const hasty = hastyClock(90)
const account = { user: 'u', password: new Secret('never to be shown') }
const { signal } = new AbortController()
/** A hang would be longer; the slowest attack takes seconds. */
const ATTACK_MS = 60_000
/** The largest answer that is read, parsed, and what a garbage collector leaves about. */
const MAX_GROWTH_BYTES = 400 * 2 ** 20

type Attack = (response: ServerResponse) => void

/** Repeats a text until the other side has had enough. */
function flood(response: ServerResponse, start: string, again: string): void {
  const block = again.repeat(Math.ceil(64 * 1024 / again.length))
  response.on('error', () => {}).write(start)
  const more = (): void => {
    while (!response.destroyed && response.write(block));
    if (!response.destroyed) response.once('drain', more)
  }
  more()
}

const OPEN = '<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body>'

const ATTACKS: Readonly<Record<string, Attack>> = {
  'nothing at all': (response) => { response.end() },
  'no XML': (response) => { response.end('it works!') },
  'an answer to another method': (response) => { response.end(soapAnswer('Logout', '')) },
  'a truncated answer': (response) => { response.end(OPEN) },
  'an answer that breaks off': (response) => {
    response.writeHead(200, { 'content-length': '100000' }).write(OPEN)
    setImmediate(() => response.destroy())
  },
  'endless text': (response) => { flood(response, `${OPEN}<a>`, 'text ') },
  'endless elements': (response) => { flood(response, OPEN, '<a/>') },
  'endless depth': (response) => { flood(response, OPEN, '<a>') },
  'an endless attribute': (response) => { flood(response, `${OPEN}<a b="`, 'text ') },
  'an endless name': (response) => { flood(response, `${OPEN}<`, 'name') },
  'endless attributes': (response) => {
    response.end(`${OPEN}<a ${Array.from({ length: 300_000 }, (_, n) => `b${n}=""`).join(' ')}`)
  },
  'endless comments': (response) => { flood(response, OPEN, '<!-- x -->') },
  'a document type': (response) => {
    response.end('<!DOCTYPE a [<!ENTITY a "b"><!ENTITY c "&a;&a;&a;&a;">]><a>&c;</a>')
  },
  'an entity of its own': (response) => { response.end(`${OPEN}&c;`) },
  'endless headers': (response) => {
    response.writeHead(200, { a: 'b'.repeat(2 ** 20) }).end()
  },
  'a redirect': (response) => {
    response.writeHead(302, { location: 'https://127.0.0.1:1/sdk' }).end()
  },
  'a page of a web server': (response) => { response.writeHead(404).end('<html>') },
  'a compressed bomb': (response) => {
    response.writeHead(200, { 'content-encoding': 'gzip' }).end('\u001f\u008b')
  },
  'silence': () => {},
  'a byte now and then': (response) => {
    response.write(OPEN)
    const timer = setInterval(() => response.write(' '), 50)
    response.on('close', () => { clearInterval(timer) })
  },
  'a fault without a name': (response) => {
    response.writeHead(500).end(
      `${OPEN}<e:Fault><faultstring>\u001b[2Jx</faultstring></e:Fault></e:Body></e:Envelope>`)
  },
  'a fault with a name that is none': (response) => {
    response.writeHead(500).end(`${OPEN}<e:Fault><detail><__proto__Fault/></detail></e:Fault>` +
      '</e:Body></e:Envelope>')
  },
  'services without ids': (response) => {
    response.end(soapAnswer('RetrieveServiceContent', '<returnval><rootFolder/></returnval>'))
  },
}

async function attempt(
  url: string, fingerprint: string | undefined, clock: Clock = hasty): Promise<unknown> {
  using http = new HttpsClient(new URL(url), fingerprint)
  using limit = deadline(systemClock, ATTACK_MS, 'the attack', signal)
  return await VimClient.connect({ http, account, clock, log: silentLog }, limit.signal).then(
    () => assert.fail('it was taken for a vCenter'), (error: unknown) => error)
}

function mustBeFault(error: unknown): void {
  assert.ok(isFault(error, 'platform-protocol', 'platform-unreachable', 'platform-refused',
    'timed-out', 'unsupported'), String(error))
  for (const text of ['\u001b', 'attack', 'never to be shown']) {
    assert.ok(!error.message.includes(text), error.message)
  }
}

suite('a hostile server in place of a vCenter', () => {
  let folder: TemporaryFolder
  let certificate: ServerCertificate
  before(async () => {
    folder = await temporaryFolder()
    certificate = serverCertificate(folder.path)
  })
  after(() => folder?.[Symbol.asyncDispose]())

  for (const [what, attack] of Object.entries(ATTACKS)) {
    test(`${what} is a fault, in bounded memory and time`, async () => {
      const before = process.memoryUsage.rss()
      await using front = await SoapFront.start(certificate, (_call, response) => {
        attack(response)
        return true
      })
      const isFlood = what.startsWith('endless') || what.startsWith('an endless')
      const fault = await attempt(front.url, front.fingerprint, isFlood ? systemClock : hasty)
      mustBeFault(fault)
      if (isFlood) assert.ok(!isFault(fault, 'timed-out'), 'only time ended it')
      const grownBytes = process.memoryUsage.rss() - before
      assert.ok(grownBytes < MAX_GROWTH_BYTES, `memory grew by ${grownBytes} bytes`)
    })
  }

  test('what speaks no TLS, or falls silent in its beginning, is a fault', async () => {
    for (const meet of [
      (socket: Socket) => { socket.end('HTTP/1.1 200 OK\r\n\r\n') },
      () => {},
      (socket: Socket) => { socket.destroy() },
    ]) {
      const open = new Set<Socket>()
      const server = createServer((socket) => {
        open.add(socket.on('error', () => {}))
        meet(socket)
      }).listen(0, '127.0.0.1')
      await once(server, 'listening')
      const { port } = server.address() as AddressInfo
      mustBeFault(await attempt(`https://127.0.0.1:${port}/sdk`, certificate.fingerprint))
      for (const socket of open) socket.destroy()
      server.close()
    }
  })

  test('no byte of a request is sent to a server whose certificate is not the pinned one',
    async () => {
      await using front = await SoapFront.start(certificate, () => false)
      for (const pin of [undefined, '0'.repeat(64)]) {
        const error = await attempt(front.url, pin)
        mustBeFault(error)
        assert.match(String(error), new RegExp(front.fingerprint))
      }
      assert.equal(front.calls.length, 0)
    })
})
