/** Redis in the image: the files that its start would read, against what it stated in the hold. */

import { join } from 'node:path/posix'
import type { ImageFile } from '../../disk/mod.ts'
import {
  confirms, contradicts, silent, type DatabaseSubject, type Finding,
} from './finding.ts'
import type { GuestFiles } from './guest-files.ts'
import { Crc64, DUMP_HEAD_BYTES, dumpTime, isDump, whyDumpBroken } from './redis-dump.ts'
import { CommandScan, parseManifest, type LogPart } from './redis-log.ts'

/** Of all files of a server; this takes some seconds. */
const MAX_BYTES = 1024 ** 3
const MAX_MANIFEST_BYTES = 64 * 1024
const PIECE_BYTES = 512 * 1024
/** A save inside the hold takes no longer (the writer's own limit is a quarter of it). */
const SAVE_SECONDS = 60

/**
 * Confirms that the append-only file is exactly as long as the server said that it was while no
 * write was let in, and whole; or that the dump is whole and of the save inside the hold.
 */
export async function checkRedis(subject: DatabaseSubject): Promise<Finding> {
  const { writer } = subject
  if (writer.contract !== 'held' || writer.freeze.state !== 'acknowledged') {
    return silent('the evidence states no hold')
  }
  const { statement } = writer.freeze
  const number = (name: string): number | undefined => {
    const digits = new RegExp(`\\b${name}=(\\d{1,15})\\b`).exec(statement)?.[1]
    return digits === undefined ? undefined : Number(digits)
  }
  if (/\bappendonly=yes\b/.test(statement)) {
    const size = number('aof_current_size')
    return size === undefined ? silent('the evidence does not state the length of its log')
      : checkLog(subject, size)
  }
  const savedAt = number('rdb_last_save_time')
  return savedAt === undefined ? silent('the evidence does not state when it was saved')
    : checkDump(subject, savedAt)
}

async function checkLog({ paths, files }: DatabaseSubject, stated: number): Promise<Finding> {
  const manifest = await findFile(paths, files, (name) => name.endsWith('.manifest'))
  if (manifest === undefined) return silent('no manifest of an append-only file lies where it was')
  const { folder, file } = manifest
  const text = await file.read(0, MAX_MANIFEST_BYTES)
  const parts = file.sizeBytes > MAX_MANIFEST_BYTES ? undefined : parseManifest(text.toString())
  if (parts === undefined) return contradicts('the manifest of its log cannot be understood')
  let [bytes, baseBytes, commands] = [0, 0, 0]
  for (const part of parts) {
    const found = await files.find(join(folder, part.name))
    if (found?.kind !== 'file') return contradicts(`${part.name} of its log is not there`)
    bytes += found.sizeBytes
    if (part.kind === 'base') baseBytes += found.sizeBytes
    if (bytes > MAX_BYTES) return silent(`its log is longer than ${MAX_BYTES >> 20} MiB`)
    const read = await readPart(part, found)
    if (read.fault !== undefined) return contradicts(`${part.name}: ${read.fault}`)
    commands += read.commands
  }
  const what = `its log of ${parts.length} files has ${bytes} bytes`
  // A server that made its base at its first start does not count it until it has rewritten it.
  if (bytes !== stated && bytes - baseBytes !== stated) {
    return contradicts(`${what}, but had ${stated} while no write was let in`)
  }
  return confirms(`${what}, as it stated in the hold, and ends with a whole command ` +
    `(${commands} behind the base)`)
}

interface PartRead {
  readonly fault: string | undefined
  readonly commands: number
}

/** A base is a dump, or commands as the increments are. */
async function readPart({ kind }: LogPart, file: ImageFile): Promise<PartRead> {
  if (kind === 'base' && isDump(await file.read(0, DUMP_HEAD_BYTES))) {
    return { fault: await whyBroken(file), commands: 0 }
  }
  const scan = new CommandScan()
  for (let at = 0; at < file.sizeBytes && scan.fault === undefined; at += PIECE_BYTES) {
    scan.push(await file.read(at, PIECE_BYTES))
  }
  return { fault: scan.end(), commands: kind === 'base' ? 0 : scan.commands }
}

async function whyBroken(file: ImageFile): Promise<string | undefined> {
  const end = Math.max(0, file.sizeBytes - 8)
  const crc = new Crc64()
  for (let at = 0; at < end; at += PIECE_BYTES) {
    crc.push(await file.read(at, Math.min(PIECE_BYTES, end - at)))
  }
  return whyDumpBroken(await file.read(Math.max(0, end - 1), 9), crc.value)
}

async function checkDump({ paths, files }: DatabaseSubject, savedAt: number): Promise<Finding> {
  const dump = await findFile(paths, files, (name) => name.endsWith('.rdb'))
  if (dump === undefined) return silent('no dump lies where it was')
  const { file } = dump
  if (file.sizeBytes > MAX_BYTES) return silent(`its dump is longer than ${MAX_BYTES >> 20} MiB`)
  const head = await file.read(0, DUMP_HEAD_BYTES)
  if (!isDump(head)) return contradicts('its dump does not begin as one does')
  const broken = await whyBroken(file)
  if (broken !== undefined) return contradicts(`its dump of ${file.sizeBytes} bytes: ${broken}`)
  const begunAt = dumpTime(head)
  if (begunAt === undefined) return silent('its dump does not say when it was made')
  const ageS = savedAt - begunAt
  if (ageS > SAVE_SECONDS) {
    return contradicts(`its dump was begun ${ageS} s before the save inside the hold ended`)
  }
  return confirms(`its dump of ${file.sizeBytes} bytes is whole and of the save inside the hold`)
}

/** In one of the places, or in a folder right below: the only one of such a name. */
async function findFile(
  paths: readonly string[], files: GuestFiles, isIt: (name: string) => boolean,
): Promise<{ folder: string; file: ImageFile } | undefined> {
  const found = new Map<string, ImageFile>()
  const look = async (folder: string, depth: number): Promise<void> => {
    for (const { name } of await files.list(folder) ?? []) {
      const path = join(folder, name)
      const isWanted = isIt(name)
      if (!isWanted && depth === 0) continue
      if (!isWanted && name.includes('.')) continue
      const inode = await files.find(path)
      if (isWanted && inode?.kind === 'file') found.set(path, inode)
      else if (depth > 0 && inode?.kind === 'folder') await look(path, depth - 1)
    }
  }
  for (const path of paths) await look(path, 1)
  const [first, ...more] = found
  return first === undefined || more.length > 0 ? undefined
    : { folder: join(first[0], '..'), file: first[1] }
}
