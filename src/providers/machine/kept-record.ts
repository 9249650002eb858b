/**
 * What a provider keeps on this host from one backup of a machine to the next. A lost or damaged
 * file is as none: it may cost a full read, and never more.
 */

import { createHash } from 'node:crypto'
import { open, rename } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { z } from 'zod'
import { parseJson } from '../../base/json.ts'
import type { Log } from '../../base/log.ts'
import { closeToOthers, makeOwnFolder, othersOf } from '../../base/own-files.ts'

const MAX_BYTES = 1024 * 1024

export class KeptRecord<Kept extends object> {
  readonly file: string
  readonly #platform: string
  readonly #shape: z.ZodType<Kept>
  readonly #log: Log

  /** `key` names what it is of: the machine and the repository among it. */
  constructor(
    place: { readonly stateDir: string; readonly platform: string; readonly log: Log },
    key: readonly string[], shape: z.ZodType<Kept>) {
    const digest = createHash('sha256').update(JSON.stringify(key)).digest('hex')
    this.file = join(place.stateDir, `${place.platform}-${digest.slice(0, 32)}.json`)
    this.#platform = place.platform
    this.#log = place.log
    this.#shape = shape
  }

  /** Undefined where there is no such file, or it is not of this shape. */
  async read(): Promise<Kept | undefined> {
    try {
      await using handle = await open(this.file, 'r')
      const [other] = (await othersOf(this.file))?.mayWrite ?? []
      if (other !== undefined) {
        this.#log.warn(`${this.#platform}.record-not-believed`, { file: this.file, other })
        return undefined
      }
      const bytes = new Uint8Array(MAX_BYTES + 1)
      const { bytesRead } = await handle.read(bytes, 0, bytes.length, 0)
      const limits = { maxBytes: MAX_BYTES, maxDepth: 8 }
      return this.#shape.parse(
        parseJson(bytes.subarray(0, bytesRead), this.file, 'io-error', limits))
    } catch {
      return undefined
    }
  }

  /** Replaces the file, durably. Where that cannot be done it is said, and is no fault. */
  async keep(record: Kept): Promise<void> {
    try {
      await this.#replace(JSON.stringify(record))
    } catch (error) {
      this.#log.warn(`${this.#platform}.not-tracked`, {
        file: this.file, reason: error instanceof Error ? error.message : String(error),
        advice: 'Name a folder that can be written (stateDir).' })
    }
  }

  async #replace(text: string): Promise<void> {
    await makeOwnFolder(dirname(this.file))
    const part = `${this.file}.part`
    {
      await using handle = await open(part, 'w', 0o600)
      await closeToOthers(part)
      await handle.writeFile(text)
      await handle.sync()
    }
    await rename(part, this.file)
  }
}
