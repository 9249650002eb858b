/**
 * The process of a requestor: lines in, steps with VSS, lines out. `requestor-main.ts SYSTEM32`.
 *
 * COM's security is set once a process, and VSS ends a session whose process is gone: hence a short
 * life for each backup. When its standard input ends, whoever began the backup is gone: the writers
 * are told so, and the process ends.
 */

import { Socket } from 'node:net'
import { systemClock } from '../../../base/clock.ts'
import { parseJson } from '../../../base/json.ts'
import { LineSplitter } from '../../../base/lines.ts'
import { MAX_LINE_BYTES, MESSAGES_FD, parseRequest, type Message } from './protocol.ts'
import { Requestor } from './requestor.ts'

const FROM = { from: 'the backup', code: 'platform-protocol' } as const
const splitter = new LineSplitter({ maxBytes: MAX_LINE_BYTES, ...FROM })
/** For VSS to take the end; what it does not take then it hears by the end of the process. */
const FAREWELL_MS = 30_000
const messages = new Socket({ fd: MESSAGES_FD, readable: false, writable: true })
const requestor = new Requestor({
  clock: systemClock, systemFolder: process.argv[2] ?? 'C:\\Windows\\System32', send })

/** At once: a usual exit would first wait for threads that wait for VSS. */
function end(): never {
  process.kill(process.pid, 'SIGKILL')
  throw new Error('ended')
}

let isForsaken = false
function forsaken(): void {
  if (isForsaken) return
  isForsaken = true
  systemClock.after(FAREWELL_MS, end)
  void requestor.forsake().finally(end)
}

function send(message: Message): Promise<void> {
  return new Promise((resolve, reject) => {
    messages.write(`${JSON.stringify(message)}\n`, (error) => {
      if (error === undefined || error === null) resolve()
      else reject(error)
    })
  })
}

process.stdin.on('data', (chunk: Buffer) => {
  for (const line of splitter.push(chunk)) {
    const request = parseRequest(parseJson(line, 'a request', FROM.code,
      { maxBytes: MAX_LINE_BYTES, maxDepth: 8 }))
    if (request === undefined) forsaken()
    else requestor.receive(request)
  }
})
process.stdin.on('close', forsaken)
process.stdin.on('error', forsaken)
messages.on('error', forsaken)
