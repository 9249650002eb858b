/**
 * The unix socket on which the agent's hook client, a process of moments, asks the resident agent:
 * one line each way, then the connection ends. Only root can use it.
 */

import { mkdirSync, rmSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { dirname } from 'node:path'
import { abortable, deadline, type Clock } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import { isJsonObject, parseJson } from '../../base/json.ts'
import { LineSplitter } from '../../base/lines.ts'
import { connectUnix } from '../../base/unix-socket.ts'
import { faultOf, isNonce, plainFault } from '../../channel/mod.ts'

export const HOOK_SOCKET = '/run/stillpoint/agent.sock'

export type HookQuestion =
  | { readonly do: 'discover' | 'freeze' | 'thaw' }
  | { readonly do: 'announce' | 'forget'; readonly nonce: string }

const MAX_QUESTION_BYTES = 1024
const MAX_ANSWER_BYTES = 1024 * 1024
const MAX_DEPTH = 12
/** Clients wait for one another; more of them are no clients. */
const MAX_CLIENTS = 8
/** For a client to say what it wants. */
const QUESTION_MS = 10_000
/** For a client to take the answer and go. */
const END_MS = 5_000

/** The signal aborts when the client is gone: nobody will hear the answer. */
export type AnswerHook = (question: HookQuestion, signal: AbortSignal) => Promise<unknown>

/** Listens at `path` until the signal aborts. Faults: `io-error`. */
export function serveHooks(
  path: string, answer: AnswerHook, clock: Clock, signal: AbortSignal): Promise<void> {
  const clients = new Set<Promise<void>>()
  const server = createServer((socket) => {
    if (clients.size >= MAX_CLIENTS) {
      socket.destroy()
      return
    }
    const client = serveClient(socket, answer, clock, signal)
      .finally(() => { clients.delete(client) })
    clients.add(client)
  })
  return new Promise((resolve, reject) => {
    const onError = (cause: unknown): void => {
      reject(new Fault('io-error', `the agent cannot listen at ${path}`, { cause }))
    }
    server.on('error', onError)
    const usual = process.umask(0o077)
    try {
      mkdirSync(dirname(path), { recursive: true })
      rmSync(path, { force: true }) // of an agent that was killed
      server.listen(path)
    } catch (error) {
      onError(error)
    } finally {
      process.umask(usual)
    }
    signal.addEventListener('abort', () => {
      server.close()
      void Promise.all(clients).then(() => resolve())
    }, { once: true })
  })
}

async function serveClient(
  socket: Socket, answer: AnswerHook, clock: Clock, signal: AbortSignal): Promise<void> {
  const gone = new AbortController()
  socket.on('error', () => {}) // `close` follows
  socket.once('close', () => gone.abort(new Fault('interrupted', 'the client went away')))
  const over = AbortSignal.any([gone.signal, signal])
  let said: string
  try {
    const question = await askedBy(socket, clock, over)
    const ok = await answer(question, over)
    said = JSON.stringify({ ok: ok ?? null })
  } catch (error) {
    const fault = error instanceof Fault ? error : new Fault('writer-failed', String(error))
    said = JSON.stringify({ fault: plainFault(fault) })
  }
  using _late = clock.after(END_MS, () => { socket.destroy() })
  await new Promise<void>((resolve) => {
    if (socket.destroyed) resolve()
    else socket.once('close', () => resolve()).end(`${said}\n`)
  })
}

async function askedBy(socket: Socket, clock: Clock, signal: AbortSignal): Promise<HookQuestion> {
  using limit = deadline(clock, QUESTION_MS, 'the client', signal)
  return parseQuestion(await oneLine(socket, MAX_QUESTION_BYTES, limit.signal))
}

function parseQuestion(line: Uint8Array): HookQuestion {
  const fields = parseJson(line, 'a question', 'agent-protocol',
    { maxBytes: MAX_QUESTION_BYTES, maxDepth: 2 })
  const { do: verb, nonce } = isJsonObject(fields) ? fields : {}
  switch (verb) {
    case 'discover': case 'freeze': case 'thaw': return { do: verb }
    case 'announce': case 'forget': if (isNonce(nonce)) return { do: verb, nonce }
  }
  throw new Fault('agent-protocol', 'the question cannot be understood')
}

/** Asks the agent that listens at `path`. Faults: its own, `agent-unreachable`, `timed-out`. */
export async function askAgent(
  path: string, question: HookQuestion, limitMs: number, clock: Clock): Promise<unknown> {
  using limit = deadline(clock, limitMs, 'the agent')
  const role = { what: 'the socket of the agent', code: 'agent-unreachable' } as const
  const socket = await connectUnix(path, role, limit.signal)
  try {
    socket.write(`${JSON.stringify(question)}\n`)
    const line = await oneLine(socket, MAX_ANSWER_BYTES, limit.signal)
    const answer = parseJson(line, 'an answer of the agent', 'agent-protocol',
      { maxBytes: MAX_ANSWER_BYTES, maxDepth: MAX_DEPTH })
    if (!isJsonObject(answer)) throw new Fault('agent-protocol', 'the agent answers nonsense')
    const { ok, fault } = answer
    if (isJsonObject(fault)) throw faultOf(fault)
    return ok
  } finally {
    socket.destroy()
  }
}

function oneLine(socket: Socket, maxBytes: number, signal: AbortSignal): Promise<Uint8Array> {
  const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>()
  const splitter = new LineSplitter({ maxBytes, from: 'the other end', code: 'agent-protocol' })
  socket.on('data', (chunk: Buffer) => {
    try {
      const [line] = splitter.push(chunk)
      if (line !== undefined) resolve(line)
    } catch (error) {
      reject(error instanceof Error ? error : new Error(String(error)))
    }
  })
  socket.once('close', () => reject(
    new Fault('agent-unreachable', 'the agent went away before it had answered')))
  return abortable(promise, signal)
}
