/** A disk encrypted with LUKS, with an ext4 inside, as the guest's layout `luks` opens it. */

import { createCipheriv } from 'node:crypto'
import { open, readFile, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { run } from '../interop/lvm-programs.ts'

const MIB = 2 ** 20
/** The header's size, and where the encrypted part begins. */
const HEADER_MIB = 16
const SECRET_MIB = 16
const SECTOR = 512
/** As in src/demo/guest/layout. */
const KEY = Buffer.concat([Buffer.alloc(32, 1), Buffer.alloc(32, 2)])

/** A sparse file of zeros. */
export async function blankImage(path: string, sizeMiB: number): Promise<string> {
  await writeFile(path, '')
  await truncate(path, sizeMiB * MIB)
  return path
}

/** Makes the image in `folder`, by cryptsetup's header and a cipher of Node's; needs no kernel. */
export async function luksImage(folder: string): Promise<string> {
  const inner = await blankImage(join(folder, 'inner'), SECRET_MIB)
  await run('mkfs.ext4', '-q', '-F', inner)
  const key = join(folder, 'key')
  await writeFile(key, KEY)
  const path = await blankImage(join(folder, 'secret'), HEADER_MIB + SECRET_MIB)
  await run('cryptsetup', 'luksFormat', '--batch-mode', '--type', 'luks2', '--key-file', key,
    '--volume-key-file', key, '--cipher', 'aes-xts-plain64', '--key-size', '512',
    '--pbkdf', 'pbkdf2', '--pbkdf-force-iterations', '1000', '--sector-size', String(SECTOR),
    '--offset', String(HEADER_MIB * MIB / SECTOR), path)
  await using file = await open(path, 'r+')
  await file.write(encrypted(await readFile(inner)), 0, SECRET_MIB * MIB, HEADER_MIB * MIB)
  return path
}

/** AES-XTS of each sector, with its number as the tweak (dm-crypt's `plain64`). */
function encrypted(plain: Buffer): Buffer {
  const sectors: Buffer[] = []
  for (let at = 0; at < plain.length; at += SECTOR) {
    const tweak = Buffer.alloc(16)
    tweak.writeBigUInt64LE(BigInt(at / SECTOR))
    sectors.push(createCipheriv('aes-256-xts', KEY, tweak).update(plain.subarray(at, at + SECTOR)))
  }
  return Buffer.concat(sectors)
}
