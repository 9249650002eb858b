/**
 * A port of a virtual machine as a channel (virtio-serial; Linux drivers/char/virtio_console.c).
 *
 * The device has no connections: reading gives nothing (end of file) while nobody on the host has
 * the other end open, and writing waits until somebody has. So the channel is used again and again.
 */

import { readdirSync, readFileSync } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../base/clock.ts'
import { Fault, isFault } from '../base/fault.ts'
import type { ByteChannel, ChannelListener } from '../channel/mod.ts'

/** The name by which the host gives the port. */
export const AGENT_PORT = 'org.stillpoint.agent.0'

const READ_BYTES = 64 * 1024
/** Between two looks whether the host has opened its end. */
const ABSENT_MS = 200
/** Between two looks for a port: drivers load late, and ports can be plugged in. */
const PORT_APPEARS_MS = 2_000
/** What may wait to be written; more is of a host that does not read. */
const MAX_QUEUED_BYTES = 8 * 1024 * 1024

/** The device of the port with this name. Faults: `not-found`. */
export function findPort(name: string, sysRoot = '/sys', devRoot = '/dev'): string {
  const ports = join(sysRoot, 'class/virtio-ports')
  for (const port of foldersIn(ports)) {
    if (nameOf(join(ports, port, 'name')) === name) return join(devRoot, port)
  }
  throw new Fault('not-found', `the machine has no port named ${name}`, {
    advice: `Give the machine a virtserialport with name=${name}.` })
}

/** As `findPort`, as soon as the machine has it; undefined if the signal aborts before. */
export async function waitForPort(
  name: string, clock: Clock, signal: AbortSignal, sysRoot = '/sys', devRoot = '/dev',
): Promise<string | undefined> {
  while (!signal.aborted) {
    try {
      return findPort(name, sysRoot, devRoot)
    } catch (error) {
      if (!isFault(error, 'not-found')) throw error
    }
    await clock.sleep(PORT_APPEARS_MS, signal).catch(() => {})
  }
  return undefined
}

function foldersIn(path: string): readonly string[] {
  try {
    return readdirSync(path).toSorted()
  } catch {
    return []
  }
}

function nameOf(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch {
    return ''
  }
}

/**
 * Serves one requestor after the other with `serve`, which resolves when its requestor is gone and
 * everything is released. Ends with the signal. Faults: `io-error`.
 */
export async function servePort(
  device: string, serve: (channel: ByteChannel) => Promise<void>, clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  const file = await open(device, 'r+').catch((cause: unknown) => {
    throw new Fault('io-error', `the port ${device} cannot be opened`, {
      cause, advice: 'Only one program can have it open, and only root.' })
  })
  while (!signal.aborted) {
    const first = await readSome(file)
    if (first.length === 0) {
      await clock.sleep(ABSENT_MS, signal).catch(() => {})
      continue
    }
    const channel = new PortChannel(file)
    const served = serve(channel)
    await channel.run(first, signal)
    await served
  }
}

async function readSome(file: FileHandle): Promise<Uint8Array> {
  const buffer = new Uint8Array(READ_BYTES)
  const { bytesRead } = await file.read(buffer, 0, buffer.length, null)
  return buffer.subarray(0, bytesRead)
}

/** The port while one host has its end open. */
class PortChannel implements ByteChannel {
  readonly #file: FileHandle
  #listener: ChannelListener | undefined
  #queue: Buffer[] = []
  #queuedBytes = 0
  #writing = false
  #isClosed = false

  constructor(file: FileHandle) {
    this.#file = file
  }

  send(text: string): void {
    if (this.#isClosed) return
    const bytes = Buffer.from(text)
    this.#queuedBytes += bytes.length
    if (this.#queuedBytes > MAX_QUEUED_BYTES) return this.close()
    this.#queue.push(bytes)
    if (!this.#writing) void this.#write()
  }

  listen(listener: ChannelListener): void {
    this.#listener = listener
  }

  /** What waits is dropped; the host's end stays what it is. */
  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#queue = []
    this.#listener?.onEnd()
  }

  /** Hands on what comes until the host's end is closed. */
  async run(first: Uint8Array, signal: AbortSignal): Promise<void> {
    let bytes = first
    while (bytes.length > 0 && !this.#isClosed && !signal.aborted) {
      this.#listener?.onBytes(bytes)
      bytes = await readSome(this.#file)
    }
    this.close()
  }

  async #write(): Promise<void> {
    this.#writing = true
    for (let bytes = this.#queue.shift(); bytes !== undefined; bytes = this.#queue.shift()) {
      for (let at = 0; at < bytes.length;) {
        const { bytesWritten } = await this.#file.write(bytes, at, bytes.length - at, null)
          .catch(() => ({ bytesWritten: bytes?.length ?? 0 })) // the host is gone: reading tells
        at += bytesWritten
      }
      this.#queuedBytes -= bytes.length
    }
    this.#writing = false
  }
}
