/** What a file's content is known by. */

import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'

export interface FileDigest {
  /** SHA-256, 64 lowercase hexadecimal digits. */
  readonly digest: string
  readonly sizeBytes: number
}

/** Reads the file once, a megabyte at a time. Rejects with the file system's error. */
export async function fileDigest(path: string): Promise<FileDigest> {
  const hash = createHash('sha256')
  let sizeBytes = 0
  for await (const part of createReadStream(path, { highWaterMark: 1024 * 1024 })) {
    hash.update(part as Buffer)
    sizeBytes += (part as Buffer).length
  }
  return { digest: hash.digest('hex'), sizeBytes }
}
