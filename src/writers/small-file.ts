/** Reads a small file of somebody else's: never waits on a pipe, never takes too much. */

import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { Fault } from '../base/fault.ts'

/** As UTF-8. Throws the system's error, or `writer-failed` if it is no file or is larger. */
export async function readSmallFile(path: string, maxBytes: number): Promise<string> {
  // A pipe put in the place of the file would otherwise hold us until somebody writes to it.
  await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
  if (!(await file.stat()).isFile()) throw new Fault('writer-failed', `${path} is no file`)
  const buffer = new Uint8Array(maxBytes + 1) // files of /proc state no size
  let length = 0
  while (length <= maxBytes) {
    const { bytesRead } = await file.read(buffer, length, buffer.length - length, null)
    if (bytesRead === 0) return new TextDecoder().decode(buffer.subarray(0, length))
    length += bytesRead
  }
  throw new Fault('writer-failed', `${path} is larger than ${maxBytes} bytes`)
}
