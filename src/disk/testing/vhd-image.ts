/** Writes VHD files for tests: fixed, dynamic, and with parents, which qemu-img cannot. */

import type { FilePieces } from './vhdx-image.ts'

const SECTOR = 512

export interface VhdImage {
  readonly sizeBytes: number
  /** Sixteen bytes in hexadecimal. */
  readonly id: string
  /** Undefined: a fixed disk of the one block there is. */
  readonly blockBytes: number | undefined
  /** By number; `has` says which sectors of a block are here, default all. */
  readonly blocks: ReadonlyMap<number, {
    readonly bytes: Uint8Array; readonly has?: (sector: number) => boolean }>
  readonly parent?: { readonly id: string; readonly name: string }
}

export function vhdImage(image: VhdImage): FilePieces {
  const { blockBytes, blocks, sizeBytes } = image
  const footer = footerOf(image)
  if (blockBytes === undefined) {
    return [{ offset: 0, bytes: blocks.get(0)?.bytes ?? Buffer.alloc(sizeBytes) },
      { offset: sizeBytes, bytes: footer }]
  }
  const entries = Math.ceil(sizeBytes / blockBytes)
  const table = Buffer.alloc(Math.ceil(entries * 4 / SECTOR) * SECTOR, 0xff)
  const mapBytes = Math.ceil(blockBytes / SECTOR / 8 / SECTOR) * SECTOR
  const locatorAt = 1536 + table.length
  let at = locatorAt + SECTOR
  const contents = [...blocks].map(([number, { bytes, has = () => true }]) => {
    const map = Buffer.alloc(mapBytes)
    for (let sector = 0; sector < blockBytes / SECTOR; sector++) {
      if (has(sector)) map[sector >> 3] = (map[sector >> 3] ?? 0) | 0x80 >> (sector & 7)
    }
    table.writeUInt32BE(at / SECTOR, number * 4)
    const offset = at
    at += mapBytes + blockBytes
    return { offset, bytes: Buffer.concat([map, bytes], mapBytes + blockBytes) }
  })
  const name = Buffer.from(`.\\${image.parent?.name ?? ''}`, 'utf16le')
  return [
    { offset: 0, bytes: footer }, { offset: 512, bytes: headerOf(image, entries, locatorAt, name) },
    { offset: 1536, bytes: table }, { offset: locatorAt, bytes: Buffer.concat([name], SECTOR) },
    ...contents, { offset: at, bytes: footer }]
}

function sealed(bytes: Buffer, at: number): Buffer {
  bytes.writeUInt32BE(0, at)
  bytes.writeUInt32BE(~bytes.reduce((sum, byte) => sum + byte, 0) >>> 0, at)
  return bytes
}

function footerOf({ sizeBytes, id, blockBytes, parent }: VhdImage): Buffer {
  const bytes = Buffer.alloc(512)
  bytes.write('conectix', 0, 'latin1')
  bytes.writeUInt32BE(2, 8)
  bytes.writeUInt32BE(0x10000, 12)
  bytes.writeBigUInt64BE(blockBytes === undefined ? 2n ** 64n - 1n : 512n, 16)
  bytes.write('win ', 28, 'latin1')
  bytes.writeUInt32BE(0x60001, 32)
  bytes.write('Wi2k', 36, 'latin1')
  bytes.writeBigUInt64BE(BigInt(sizeBytes), 40)
  bytes.writeBigUInt64BE(BigInt(sizeBytes), 48)
  bytes.writeUInt32BE(blockBytes === undefined ? 2 : parent === undefined ? 3 : 4, 60)
  bytes.write(id, 68, 'hex')
  return sealed(bytes, 64)
}

function headerOf(
  { blockBytes = 0, parent }: VhdImage, entries: number, locatorAt: number, name: Buffer): Buffer {
  const bytes = Buffer.alloc(1024)
  bytes.write('cxsparse', 0, 'latin1')
  bytes.writeBigUInt64BE(2n ** 64n - 1n, 8)
  bytes.writeBigUInt64BE(1536n, 16)
  bytes.writeUInt32BE(0x10000, 24)
  bytes.writeUInt32BE(entries, 28)
  bytes.writeUInt32BE(blockBytes, 32)
  if (parent !== undefined) {
    bytes.write(parent.id, 40, 'hex')
    Buffer.from(parent.name, 'utf16le').swap16().copy(bytes, 64)
    bytes.write('W2ru', 576, 'latin1')
    bytes.writeUInt32BE(512, 580)
    bytes.writeUInt32BE(name.length, 584)
    bytes.writeBigUInt64BE(BigInt(locatorAt), 592)
  }
  return sealed(bytes, 36)
}
