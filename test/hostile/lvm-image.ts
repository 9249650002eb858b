/** A physical volume of LVM2 with two logical volumes, an empty one among them. */

import { crc32 } from 'node:zlib'

const MIB = 2 ** 20
const PV = 'abcdefGhijKlmnOpqrStuvWxyzAB0123'

const TEXT = `vg0 {
id = "VgidVgidVgidVgidVgidVgidVgidVgid"
seqno = 4
format = "lvm2" # informational
status = ["RESIZEABLE", "READ", "WRITE"]
extent_size = 2048
physical_volumes {
pv0 {
id = "abcdef-Ghij-Klmn-Opqr-Stuv-Wxyz-AB0123"
device = "/dev/vda"
status = ["ALLOCATABLE"]
dev_size = 16384
pe_start = 2048
pe_count = 7
}
}
logical_volumes {
root {
id = "LvidLvidLvidLvidLvidLvidLvidLvid"
status = ["READ", "WRITE", "VISIBLE"]
segment_count = 2
segment1 {
start_extent = 0
extent_count = 2
type = "striped"
stripe_count = 1
stripes = ["pv0", 0]
}
segment2 {
start_extent = 2
extent_count = 1
type = "striped"
stripe_count = 1
stripes = ["pv0", 4]
}
}
wide {
id = "Lvi2Lvi2Lvi2Lvi2Lvi2Lvi2Lvi2Lvi2"
status = ["READ", "WRITE", "VISIBLE"]
segment_count = 1
segment1 {
start_extent = 0
extent_count = 2
type = "striped"
stripe_count = 2
stripe_size = 128
stripes = ["pv0", 5, "pv0", 6]
}
}
}
}
contents = "Text Format Volume Group"
version = 1
`

/** Where the metadata area begins; its text follows after a sector. */
export const LVM_AREA = 4096
const AREA_BYTES = MIB - LVM_AREA

export function lvmImage(): Buffer {
  const disk = Buffer.alloc(8 * MIB)
  const label = disk.subarray(512, 1024)
  label.write('LABELONE')
  label.writeBigUInt64LE(1n, 8)
  label.writeUInt32LE(32, 20)
  label.write('LVM2 001', 24)
  label.write(PV, 32)
  label.writeBigUInt64LE(BigInt(disk.length), 64)
  label.writeBigUInt64LE(BigInt(MIB), 72) // data areas: one, then the end of the list
  label.writeBigUInt64LE(BigInt(LVM_AREA), 104)
  label.writeBigUInt64LE(BigInt(AREA_BYTES), 112)
  const area = disk.subarray(LVM_AREA, LVM_AREA + 512)
  area.write(' LVM2 x[5A%r0N*>', 4, 'latin1')
  area.writeUInt32LE(1, 20)
  area.writeBigUInt64LE(BigInt(LVM_AREA), 24)
  area.writeBigUInt64LE(BigInt(AREA_BYTES), 32)
  area.writeBigUInt64LE(512n, 40)
  area.writeBigUInt64LE(BigInt(TEXT.length), 48)
  disk.write(TEXT, LVM_AREA + 512)
  area.writeUInt32LE(lvmChecksum(Buffer.from(TEXT)), 56)
  area.writeUInt32LE(lvmChecksum(area.subarray(4)), 0)
  return disk
}

/** CRC-32 begun with LVM's own number and without the final inversion. */
export function lvmChecksum(bytes: Uint8Array): number {
  return ~crc32(bytes, ~0xf597_a6cf >>> 0) >>> 0
}
