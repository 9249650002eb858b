/** The log of an NTFS as Windows leaves it (ntfs-3g's logfile.h), which no tool here does. */

import { writeFile } from 'node:fs/promises'
import { runProgram } from '../../src/base/program.ts'

const PAGE = 4096
const AREA_AT = 48
const CLIENT_AT = AREA_AT + 48
const LSN = 262_144n

/** `closed`: with a client in use, as always since XP, and the mark of a clean dismount. */
export async function writeNtfsLog(
  imagePath: string, state: 'open' | 'closed', signal: AbortSignal): Promise<void> {
  const { stdout } = await runProgram('ntfscat', ['-i', '2', imagePath], {
    signal, maxOutputBytes: 64 * 2 ** 20 })
  const log = Buffer.from(stdout)
  for (const [at, lsn] of [[0, LSN], [PAGE, LSN + 8n]] as const) {
    restartPage(log.length, lsn, state === 'closed' ? 2 : 0).copy(log, at)
  }
  await writeFile(`${imagePath}.log`, log)
  await runProgram('ntfscp', ['-q', '-f', '-i', imagePath, `${imagePath}.log`, '2'], { signal })
}

function restartPage(logBytes: number, lsn: bigint, flags: number): Buffer {
  const page = Buffer.alloc(PAGE)
  page.write('RSTR', 0, 'latin1')
  page.writeUInt16LE(30, 4)
  page.writeUInt16LE(9, 6)
  page.writeUInt32LE(PAGE, 16)
  page.writeUInt32LE(PAGE, 20)
  page.writeUInt16LE(AREA_AT, 24)
  page.writeUInt16LE(1, 26)
  page.writeUInt16LE(1, 28)
  page.writeBigUInt64LE(lsn, AREA_AT)
  page.writeUInt16LE(1, AREA_AT + 8) // clients
  page.writeUInt16LE(0xffff, AREA_AT + 10) // none of them free, the first in use
  page.writeUInt16LE(flags, AREA_AT + 14)
  page.writeUInt32LE(67 - logBytes.toString(2).length, AREA_AT + 16)
  page.writeUInt16LE(48 + 160, AREA_AT + 20)
  page.writeUInt16LE(48, AREA_AT + 22)
  page.writeBigUInt64LE(BigInt(logBytes), AREA_AT + 24)
  page.writeUInt16LE(48, AREA_AT + 36)
  page.writeUInt16LE(64, AREA_AT + 38)
  page.writeUInt32LE(1, AREA_AT + 40)
  page.writeBigUInt64LE(lsn, CLIENT_AT)
  page.writeBigUInt64LE(lsn, CLIENT_AT + 8)
  page.writeUInt32LE(0xffff_ffff, CLIENT_AT + 16)
  page.writeUInt32LE(8, CLIENT_AT + 28)
  page.write('NTFS', CLIENT_AT + 32, 'utf16le')
  page.writeUInt16LE(0x1234, 30)
  for (let n = 1; n <= 8; n++) {
    page.copy(page, 30 + 2 * n, n * 512 - 2, n * 512)
    page.writeUInt16LE(0x1234, n * 512 - 2)
  }
  return page
}
