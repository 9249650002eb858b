/** CRC-32C (Castagnoli), which ext4 and btrfs guard their superblocks with. */

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1
  return value
})

/** Without its final inversion; begun with all ones, or with that of the bytes before. */
export function rawCrc32c(bytes: Uint8Array, before = 0xffffffff): number {
  let crc = before
  for (const byte of bytes) crc = (crc >>> 8) ^ (TABLE[(crc ^ byte) & 0xff] ?? 0)
  return crc >>> 0
}
