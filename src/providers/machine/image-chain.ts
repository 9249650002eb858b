/**
 * Images that no machine has open: what they are read through, whether anybody writes to them, and
 * whether anybody did. Formats are given, never probed: by the platform for the image on top, by
 * the image above for those below (QEMU's docs/interop/qcow2.txt, "Backing file format name").
 */

import { constants } from 'node:fs'
import { access, stat } from 'node:fs/promises'
import { isAbsolute } from 'node:path'
import { Fault, isFault } from '../../base/fault.ts'
import { isJsonObject, parseJson } from '../../base/json.ts'
import { runProgram } from '../../base/program.ts'
import { printable } from '../../base/text.ts'
import type { ImageChain } from '../../disk/mod.ts'

/** A chain is not longer than what libvirt itself follows. */
const MAX_CHAIN = 200
const RAW_OR_QCOW2 = new Set(['raw', 'qcow2'])

export interface RestingImage {
  readonly chain: ImageChain
  /** As QEMU shows it to the guest. */
  readonly sizeBytes: number
  /**
   * The dirty bitmaps of the image on top, by name. False for one that was not saved in order, or
   * of which a part lies in an image below, as after an external snapshot.
   */
  readonly bitmaps: ReadonlyMap<string, boolean>
}

/**
 * The image at `file` with all below it; or why it cannot be read so. Faults: `platform-refused`
 * where this user may not read it, `program-missing` (qemu-img), `program-failed`.
 */
export async function readChain(
  file: string, format: string, signal: AbortSignal,
): Promise<RestingImage | { readonly why: string }> {
  const chain: { path: string; format: 'raw' | 'qcow2' }[] = []
  let top: ImageFacts | undefined
  const below = new Set<string>()
  let next: { readonly path: string; readonly format: string } | undefined = { path: file, format }
  while (next !== undefined) {
    const { path } = next
    const isEndless = chain.length >= MAX_CHAIN || chain.some((image) => image.path === path)
    const why = isEndless ? 'its chain has no end' : await whyUnreadable(next)
    if (why !== undefined) return { why: `${printable(path, 200)}: ${why}` }
    const known = next.format === 'raw' ? 'raw' : 'qcow2'
    const image: ImageFacts = await examine(path, known, signal)
    if (image.why !== undefined) return { why: `${printable(path, 200)}: ${image.why}` }
    chain.push({ path, format: known })
    if (top !== undefined) for (const name of image.bitmaps.keys()) below.add(name)
    top ??= image
    next = image.below
  }
  return { chain, sizeBytes: top?.sizeBytes ?? 0, bitmaps: new Map(
    [...top?.bitmaps ?? []].map(([name, isWhole]) => [name, isWhole && !below.has(name)])) }
}

async function whyUnreadable(
  { path, format }: { readonly path: string; readonly format: string },
): Promise<string | undefined> {
  if (!RAW_OR_QCOW2.has(format)) {
    return `images of the format ${printable(format, 20)} are read only while the machine runs`
  }
  if (!isAbsolute(path)) return 'it is no file of this host'
  const found = await stat(path).catch(() => undefined)
  if (found?.isFile() === false) return 'it is no file, and who writes to it cannot be told'
  try {
    await access(path, constants.R_OK)
    return undefined
  } catch (cause) {
    if (isErrno(cause, 'ENOENT')) return 'it is not there'
    throw new Fault('platform-refused', `this user may not read ${printable(path, 200)}`, {
      cause, advice: 'Images of machines that do not run are root\'s as a rule: run as root.' })
  }
}

function isErrno(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}

interface ImageFacts {
  readonly sizeBytes: number
  readonly below: { readonly path: string; readonly format: string } | undefined
  readonly why: string | undefined
  /** By name, whether it was saved in order. */
  readonly bitmaps: ReadonlyMap<string, boolean>
}

async function examine(
  path: string, format: 'raw' | 'qcow2', signal: AbortSignal): Promise<ImageFacts> {
  const { stdout } = await runProgram(
    'qemu-img', ['info', '--force-share', '--output=json', '-f', format, path], { signal })
  const found = parseJson(stdout, `what qemu-img says of ${printable(path, 200)}`,
    'platform-protocol')
  const size = isJsonObject(found) ? found['virtual-size'] : undefined
  if (!isJsonObject(found) || typeof size !== 'number' || !Number.isSafeInteger(size)) {
    throw new Fault('platform-protocol', 'qemu-img said something that cannot be understood')
  }
  const below = found['full-backing-filename']
  const belowFormat = found['backing-filename-format']
  const { data } = isJsonObject(found['format-specific']) ? found['format-specific'] : {}
  const why = found['encrypted'] === true ? 'it is encrypted'
    : isJsonObject(data) && 'data-file' in data ? 'its data lies in another file'
      : below !== undefined && typeof belowFormat !== 'string'
        ? 'it does not say of what format the image below it is' : undefined
  return { sizeBytes: size, why, bitmaps: bitmapsIn(isJsonObject(data) ? data['bitmaps'] : []),
    below: typeof below === 'string' ? { path: below, format: String(belowFormat) } : undefined }
}

function bitmapsIn(list: unknown): ReadonlyMap<string, boolean> {
  const found = new Map<string, boolean>()
  for (const bitmap of Array.isArray(list) ? list as readonly unknown[] : []) {
    if (!isJsonObject(bitmap) || typeof bitmap['name'] !== 'string') continue
    const { name, flags } = bitmap
    // QEMU marks one as in use for as long as its machine runs.
    found.set(name, Array.isArray(flags) && !flags.includes('in-use'))
  }
  return found
}

/**
 * Faults `machine-busy` if any program that locks images as QEMU does has one open for writing.
 * The lock that shows it is let go at once: nobody is kept from starting the machine.
 */
export async function checkUnused(
  { chain }: Pick<RestingImage, 'chain'>, signal: AbortSignal): Promise<void> {
  for (const { path } of chain) {
    const node = { driver: 'raw', file: {
      driver: 'blkdebug', image: { driver: 'file', filename: path },
      'unshare-child-perms': ['write'] } }
    try {
      await runProgram('qemu-img', ['info', `json:${JSON.stringify(node)}`], { signal })
    } catch (cause) {
      if (!isFault(cause, 'program-failed') || !/"write" lock/.test(cause.message)) throw cause
      throw new Fault('machine-busy',
        `another program has ${printable(path, 200)} open, although the machine does not run`, {
          cause, retry: 'later', advice: 'Look who has it open (fuser); nothing was touched.' })
    }
  }
}

/** Changes with every write to any of the files, and when one takes another's place. */
export async function stampOf({ chain }: Pick<RestingImage, 'chain'>): Promise<string> {
  const stamps: string[] = []
  for (const { path } of chain) {
    const { dev, ino, size, mtimeNs } = await stat(path, { bigint: true })
    stamps.push(`${dev} ${ino} ${size} ${mtimeNs}`)
  }
  return stamps.join(', ')
}
