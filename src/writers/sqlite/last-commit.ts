/**
 * Which commit is the last one of a database that is held, by its files: what a look at the
 * captured disk can be held against.
 */

import type { FileHandle } from 'node:fs/promises'
import type { JournalMode } from './database-file.ts'

/** A longer log is not read inside the hold. */
const MAX_LOG_BYTES = 64 * 1024 * 1024
const PIECE_FRAMES = 256
const LOG_HEAD_BYTES = 32
const FRAME_HEAD_BYTES = 24

/**
 * `change_counter=7`, or `wal_salt=…, wal_frames=12`; empty if the log is too long. Only while no
 * other can write. `file`: the log, or without one the database ("Database File Format" of SQLite,
 * 1.3.9 and 4.1).
 */
export async function lastCommit(file: FileHandle, mode: JournalMode): Promise<string> {
  if (mode === 'rollback') {
    const counter = Buffer.alloc(4)
    await file.read(counter, 0, 4, 24)
    return `change_counter=${counter.readUInt32BE(0)}`
  }
  const { size } = await file.stat()
  if (size < LOG_HEAD_BYTES) return 'wal_frames=0'
  if (size > MAX_LOG_BYTES) return ''
  const head = Buffer.alloc(LOG_HEAD_BYTES)
  await file.read(head, 0, LOG_HEAD_BYTES, 0)
  const salt = head.subarray(16, 24)
  const frameBytes = FRAME_HEAD_BYTES + head.readUInt32BE(8)
  if (frameBytes > FRAME_HEAD_BYTES + 65_536) return ''
  let [frames, seen] = [0, 0]
  const piece = Buffer.alloc(PIECE_FRAMES * frameBytes)
  for (let offset = LOG_HEAD_BYTES; offset < size; offset += piece.length) {
    const { bytesRead } = await file.read(piece, 0, piece.length, offset)
    for (let at = 0; at + frameBytes <= bytesRead; at += frameBytes) {
      // What was left of an earlier use of the file has another salt.
      if (!piece.subarray(at + 8, at + 16).equals(salt)) return said(salt, frames)
      seen++
      if (piece.readUInt32BE(at + 4) !== 0) frames = seen
    }
  }
  return said(salt, frames)
}

function said(salt: Buffer, frames: number): string {
  return `wal_salt=${salt.toString('hex')}, wal_frames=${frames}`
}
