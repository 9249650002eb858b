/**
 * Makes the checksums of a damaged disk right again, as whoever means harm would: else most damage
 * would be found by its checksum, and what lies behind that be left in peace.
 */

import { crc32 } from 'node:zlib'
import { rawCrc32c } from '../../src/disk/testing/mod.ts'
import { LVM_AREA, lvmChecksum } from './lvm-image.ts'
import type { SparseImage } from './sparse-image.ts'

/** By the name of the subject; what is not named has no checksum that the probe looks at. */
export const RESEAL: Readonly<Record<string, (image: SparseImage) => void>> = {
  'ext4': resealExt,
  'ext4 without journal': resealExt,
  'btrfs': resealBtrfs,
  'gpt': (image) => {
    resealGpt(image, 512)
    resealGpt(image, image.sizeBytes - 512)
  },
  'lvm': resealLvm,
}

function change(image: SparseImage, at: number, length: number, seal: (it: Buffer) => void): void {
  if (at < 0 || at + length > image.sizeBytes) return
  const bytes = image.bytes(at, length)
  seal(bytes)
  image.put(at, bytes)
}

function resealExt(image: SparseImage): void {
  change(image, 1024, 1024, (it) => it.writeUInt32LE(rawCrc32c(it.subarray(0, 1020)), 1020))
}

function resealBtrfs(image: SparseImage): void {
  change(image, 65_536, 4096, (it) => it.writeUInt32LE(~rawCrc32c(it.subarray(32)) >>> 0, 0))
}

function resealGpt(image: SparseImage, at: number): void {
  change(image, at, 512, (it) => {
    const start = Number(it.readBigUInt64LE(72)) * 512
    const length = it.readUInt32LE(80) * it.readUInt32LE(84)
    if (length <= 1024 * 1024 && start + length <= image.sizeBytes) {
      it.writeUInt32LE(crc32(image.bytes(start, length)), 88)
    }
    it.writeUInt32LE(0, 16)
    it.writeUInt32LE(crc32(it.subarray(0, Math.min(512, it.readUInt32LE(12)))), 16)
  })
}

function resealLvm(image: SparseImage): void {
  change(image, LVM_AREA, 512, (it) => {
    const start = Number(it.readBigUInt64LE(40))
    const length = Number(it.readBigUInt64LE(48))
    if (length <= 1024 * 1024 && LVM_AREA + start + length <= image.sizeBytes) {
      it.writeUInt32LE(lvmChecksum(image.bytes(LVM_AREA + start, length)), 56)
    }
    it.writeUInt32LE(lvmChecksum(it.subarray(4)), 0)
  })
}
