/** An NBD server that says what a test tells it to, true or not. */

import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  IHAVEOPT, NBD_CMD_WRITE, NBD_FLAG_FIXED_NEWSTYLE, NBD_FLAG_HAS_FLAGS, NBD_FLAG_NO_ZEROES,
  NBD_FLAG_READ_ONLY,
  NBD_INFO_BLOCK_SIZE, NBD_INFO_EXPORT, NBD_MAGIC, NBD_OPT_GO, NBD_OPT_SET_META_CONTEXT,
  NBD_OPT_STRUCTURED_REPLY, NBD_REP_ACK, NBD_REP_ERR_UNSUP, NBD_REP_INFO, NBD_REP_MAGIC,
  NBD_REP_META_CONTEXT, NBD_SIMPLE_REPLY_MAGIC, NBD_STRUCTURED_REPLY_MAGIC,
} from '../nbd/protocol.ts'

export interface ScriptedRequest {
  readonly type: number
  readonly cookie: bigint
  readonly offset: number
  readonly length: number
}

export interface NbdScript {
  /** Sent instead of the 18 bytes of a true greeting. */
  readonly greeting?: Uint8Array
  /** What an option is answered with; undefined for the usual answer. */
  readonly option?: (option: number, data: Buffer) => readonly Uint8Array[] | undefined
  readonly sizeBytes?: number | bigint
  readonly flags?: number
  /** Minimum, preferred and maximum block size, sent if present. */
  readonly blockSizes?: readonly [number, number, number]
  /** False refuses structured replies. */
  readonly isStructured?: boolean
  /** What a request is answered with; nothing leaves the client waiting. */
  readonly request?: (request: ScriptedRequest, socket: Socket) => readonly Uint8Array[]
}

export interface ScriptedNbdServer extends AsyncDisposable {
  readonly socketPath: string
  /** Requests received so far, of all connections. */
  readonly requests: readonly ScriptedRequest[]
  readonly connections: number
  /** Closes every connection. */
  hangUp(): void
}

/** Big-endian numbers in a row: `u16`, `u32` and `u64` by the letter before them. */
export function packed(...fields: readonly (readonly [16 | 32 | 64, number | bigint])[]): Buffer {
  return Buffer.concat(fields.map(([bits, value]) => {
    const bytes = Buffer.alloc(bits / 8)
    if (bits === 64) bytes.writeBigUInt64BE(BigInt(value))
    else bytes.writeUIntBE(Number(value), 0, bits / 8)
    return bytes
  }))
}

export function optionReply(
  option: number, type: number, data: Uint8Array = Buffer.alloc(0)): Buffer {
  return Buffer.concat(
    [packed([64, NBD_REP_MAGIC], [32, option], [32, type], [32, data.length]), data])
}

export function simpleReply(
  cookie: bigint, error: number, data: Uint8Array = Buffer.alloc(0)): Buffer {
  return Buffer.concat([packed([32, NBD_SIMPLE_REPLY_MAGIC], [32, error], [64, cookie]), data])
}

/** A structured chunk; `length` differs from the payload's only if a test lies. */
export function chunk(
  cookie: bigint, type: number, isDone: boolean, payload: Uint8Array = Buffer.alloc(0),
  length = payload.length,
): Buffer {
  return Buffer.concat([
    packed([32, NBD_STRUCTURED_REPLY_MAGIC], [16, isDone ? 1 : 0], [16, type], [64, cookie],
      [32, length]),
    payload,
  ])
}

/** Serves `script` on a socket in a folder of its own until disposed. */
export async function startScriptedNbdServer(script: NbdScript): Promise<ScriptedNbdServer> {
  const folder = await mkdtemp(join(tmpdir(), 'stillpoint-nbd-'))
  const socketPath = join(folder, 'nbd.sock')
  const requests: ScriptedRequest[] = []
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {}) // a client that hangs up on a lie is what tests are about
    serve(socket, script, requests).catch(() => {}) // reading from a destroyed socket
  })
  await new Promise<void>((resolve) => server.listen(socketPath, resolve))
  return {
    socketPath, requests,
    get connections() {
      return sockets.size
    },
    hangUp: () => {
      for (const socket of sockets) socket.destroy()
    },
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
      await rm(folder, { recursive: true, force: true })
    },
  }
}

async function serve(
  socket: Socket, script: NbdScript, requests: ScriptedRequest[]): Promise<void> {
  socket.write(script.greeting ??
    packed([64, NBD_MAGIC], [64, IHAVEOPT], [16, NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES]))
  let inTransmission = false
  let received = Buffer.alloc(0)
  let greeted = false
  for await (const bytes of socket as AsyncIterable<Buffer>) {
    received = Buffer.concat([received, bytes])
    for (;;) {
      const rest: Buffer | undefined = greeted
        ? inTransmission ? takeRequest() : takeOption()
        : takeGreeting()
      if (rest === undefined) break
      received = Buffer.from(rest)
    }
  }

  function takeGreeting(): Buffer | undefined {
    if (received.length < 4) return undefined
    greeted = true
    return received.subarray(4)
  }

  function takeOption(): Buffer | undefined {
    if (received.length < 16 || received.length < 16 + received.readUInt32BE(12)) return undefined
    const end = 16 + received.readUInt32BE(12)
    const option = received.readUInt32BE(8)
    const data = received.subarray(16, end)
    for (const reply of script.option?.(option, data) ??
      usualAnswer(option, data, script)) socket.write(reply)
    inTransmission = option === NBD_OPT_GO
    return received.subarray(end)
  }

  function takeRequest(): Buffer | undefined {
    if (received.length < 28) return undefined
    const isWrite = received.readUInt16BE(6) === NBD_CMD_WRITE
    const end = 28 + (isWrite ? received.readUInt32BE(24) : 0)
    if (received.length < end) return undefined
    const request = {
      type: received.readUInt16BE(6), cookie: received.readBigUInt64BE(8),
      offset: Number(received.readBigUInt64BE(16)), length: received.readUInt32BE(24),
    }
    requests.push(request)
    for (const reply of script.request?.(request, socket) ?? []) socket.write(reply)
    return received.subarray(end)
  }
}

function usualAnswer(option: number, data: Buffer, script: NbdScript): readonly Uint8Array[] {
  switch (option) {
    case NBD_OPT_STRUCTURED_REPLY:
      return [optionReply(option, script.isStructured === false ? NBD_REP_ERR_UNSUP : NBD_REP_ACK)]
    case NBD_OPT_SET_META_CONTEXT: {
      // Every context asked for, with ids from 1.
      const replies: Buffer[] = []
      let at = 8 + data.readUInt32BE(0)
      for (let id = 1; at < data.length; id++) {
        const length = data.readUInt32BE(at)
        const name = data.subarray(at + 4, at + 4 + length)
        replies.push(
          optionReply(option, NBD_REP_META_CONTEXT, Buffer.concat([packed([32, id]), name])))
        at += 4 + length
      }
      return [...replies, optionReply(option, NBD_REP_ACK)]
    }
    case NBD_OPT_GO: {
      const flags = script.flags ?? NBD_FLAG_HAS_FLAGS | NBD_FLAG_READ_ONLY
      const facts = packed([16, NBD_INFO_EXPORT], [64, script.sizeBytes ?? 2 ** 20], [16, flags])
      const [minimum, preferred, maximum] = script.blockSizes ?? []
      const sizes = minimum === undefined ? [] : [optionReply(option, NBD_REP_INFO, packed(
        [16, NBD_INFO_BLOCK_SIZE], [32, minimum], [32, preferred ?? 0], [32, maximum ?? 0]))]
      return [optionReply(option, NBD_REP_INFO, facts), ...sizes, optionReply(option, NBD_REP_ACK)]
    }
    default:
      return [optionReply(option, NBD_REP_ERR_UNSUP)]
  }
}
