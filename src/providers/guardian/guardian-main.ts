/**
 * The guardian's process: the requestor's lines in, the guardian's lines out.
 *
 * Started by `GuardianProcess` in a session of its own. When its standard input ends the requestor
 * is gone, and the guardian releases what is held before it ends.
 */

import { systemClock } from '../../base/clock.ts'
import { isJsonObject, parseJson } from '../../base/json.ts'
import { printable } from '../../base/text.ts'
import { LineSplitter } from '../../base/lines.ts'
import { isLibvirtAgent } from '../libvirt/agent-address.ts'
import { leaveControlGroup } from './cgroup.ts'
import { Guardian } from './guardian.ts'
import {
  encodeMessage, MAX_MESSAGE_BYTES, parseRequest, plainFault, type GuardianMessage,
} from './protocol.ts'
import { RELEASE_TIMES, type ReleaseTimes } from './release.ts'

const requestorPid = process.ppid
leaveControlGroup(process.pid) // staying is worse, and no reason not to guard
const settings = parseSettings(process.argv[2])
let ending: Promise<void> | undefined

const guardian = new Guardian({
  clock: systemClock,
  times: settings.times,
  stopMs: settings.stopMs,
  idleMs: 5_000, // the file systems are listed once more right after the thaw
  pid: process.pid,
  send,
  shout,
  killRequestor: () => {
    // Another parent means that the requestor is gone already, and its number may be another's.
    if (process.ppid === requestorPid && requestorPid > 1) process.kill(requestorPid, 'SIGKILL')
  },
})

function shout(text: string): void {
  process.stderr.write(`stillpoint guardian: ${printable(text, 2000)}\n`)
}

function send(message: GuardianMessage): void {
  process.stdout.write(`${encodeMessage(message)}\n`)
}

function finish(why: 'closed' | 'abandoned' | 'told-to-end'): void {
  ending ??= (async () => {
    await guardian.end()
    if (why === 'abandoned') await tidy()
    process.exit(0)
  })()
}

/** What a dead requestor left in the machine would fill its scratch space until the next run. */
async function tidy(): Promise<void> {
  const { sockets, runDir, nodePrefix } = guardian.leavings
  const path = sockets.guardianQmp ?? sockets.qmp
  if (nodePrefix === '') return
  try {
    // Only now: the guardian starts with few imports.
    if (sockets.agent !== undefined && isLibvirtAgent(sockets.agent)) {
      const { sweepAbandonedRun } = await import('../libvirt/leftovers.ts')
      return await sweepAbandonedRun(sockets.agent, runDir, nodePrefix)
    }
    if (path === undefined) return
    const { sweepAbandoned } = await import('../qemu/sweep.ts')
    await sweepAbandoned(path, nodePrefix, systemClock)
  } catch {
    // The next run's prepare sweeps again, and says what it finds.
  }
}

async function serve(line: Buffer): Promise<void> {
  const request = parseRequest(
    parseJson(line, 'a request', 'guardian-failed', { maxBytes: MAX_MESSAGE_BYTES, maxDepth: 8 }))
  if (request === undefined) return
  try {
    const value: unknown = await guardian.handle(request)
    send({ id: request.id, value: value ?? null })
    if (request.do === 'close') finish('closed')
  } catch (error) {
    send({ id: request.id, fault: plainFault(error) })
  }
}

function parseSettings(text = '{}'): { times: ReleaseTimes; stopMs: number } {
  const given: unknown = JSON.parse(text)
  const { times, stopMs } = isJsonObject(given) ? given : {}
  return {
    times: { ...RELEASE_TIMES, ...(isJsonObject(times) ? times : {}) },
    // QEMU flushes every disk when it stops: slow disks take seconds. Past this, something hangs.
    stopMs: typeof stopMs === 'number' ? stopMs : 10_000,
  }
}

const splitter = new LineSplitter({
  maxBytes: MAX_MESSAGE_BYTES, from: 'the requestor', code: 'guardian-failed' })
process.stdin.on('data', (chunk: Buffer) => {
  for (const line of splitter.push(chunk)) void serve(line)
})
process.stdin.on('end', () => finish('abandoned'))
process.stdin.on('error', () => finish('abandoned'))
process.stdout.on('error', () => {}) // a requestor that is gone is noticed on the input
process.stderr.on('error', () => {})
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
  process.on(signal, () => finish('told-to-end'))
}
for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
  process.on(event, (error: unknown) => {
    // Whatever broke here, a guest may be frozen: release first.
    shout(String(error))
    finish('told-to-end')
  })
}
