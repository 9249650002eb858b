/** Reads a small file of somebody else's: never waits on a pipe, never takes too much. */

import { constants, closeSync, openSync, readSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { Fault } from '../base/fault.ts'

/** More than most of these files hold. */
const FIRST_BYTES = 4096
/** The kernel gives 15 bytes, and 63 to its own workers. */
const MAX_COMM_BYTES = 128

/**
 * The name of the process in `folder`, as `comm` of proc(5) has it: without what is asynchronous,
 * which takes ten times as long for each of a thousand processes. The kernel answers at once: it
 * waits for no disk and for no lock that a process can keep. Throws the system's error.
 */
export function readComm(folder: string): string {
  const descriptor = openSync(`${folder}/comm`, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    const buffer = Buffer.alloc(MAX_COMM_BYTES)
    return buffer.toString('utf8', 0, readSync(descriptor, buffer)).trim()
  } finally {
    closeSync(descriptor)
  }
}

/** As UTF-8. Throws the system's error, or `writer-failed` if it is no file or is larger. */
export async function readSmallFile(path: string, maxBytes: number): Promise<string> {
  // A pipe put in the place of the file would otherwise hold us until somebody writes to it.
  await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
  if (!(await file.stat()).isFile()) throw new Fault('writer-failed', `${path} is no file`)
  let buffer = new Uint8Array(Math.min(FIRST_BYTES, maxBytes + 1)) // /proc states no size
  let length = 0
  while (length <= maxBytes) {
    const { bytesRead } = await file.read(buffer, length, buffer.length - length, null)
    if (bytesRead === 0) return new TextDecoder().decode(buffer.subarray(0, length))
    length += bytesRead
    if (length < buffer.length) continue
    const larger = new Uint8Array(Math.min(4 * buffer.length, maxBytes + 1))
    larger.set(buffer)
    buffer = larger
  }
  throw new Fault('writer-failed', `${path} is larger than ${maxBytes} bytes`)
}
