/** Builds the few records of an NTFS volume that the probe reads, for its tests. */

export interface NtfsImage {
  readonly volumeFlags?: number
  readonly restartFlags?: number
  /** The log as mkntfs leaves it. */
  readonly isLogBlank?: boolean
  /** Sector ends that do not fit their fix-ups. */
  readonly isLogTorn?: boolean
}

const CLUSTER = 4096
const MFT_CLUSTER = 4
const LOG_CLUSTER = 16

/** A volume of 1 MiB with serial 0123456789ABCDEF and label System. */
export function ntfsImage(options: NtfsImage): Uint8Array {
  const disk = Buffer.alloc(2 ** 20)
  disk.write('NTFS    ', 3, 'latin1')
  disk.writeUInt16LE(512, 11)
  disk.writeUInt8(CLUSTER / 512, 13)
  disk.writeBigUInt64LE(BigInt(MFT_CLUSTER), 0x30)
  disk.writeInt8(-10, 0x40) // records of 1 KiB
  disk.writeBigUInt64LE(0x0123456789abcdefn, 0x48)
  disk.writeUInt16LE(0xaa55, 510)
  const information = Buffer.alloc(12)
  information.writeUInt16LE(options.volumeFlags ?? 0, 10)
  record([
    resident(0x60, Buffer.from('System', 'utf16le')), resident(0x70, information),
  ]).copy(disk, MFT_CLUSTER * CLUSTER + 3 * 1024)
  const data = Buffer.alloc(72)
  data.writeUInt8(1, 8) // not resident
  data.writeUInt16LE(64, 32)
  data.set([0x11, 2, LOG_CLUSTER, 0], 64) // two clusters from LOG_CLUSTER
  record([attribute(0x80, data)]).copy(disk, MFT_CLUSTER * CLUSTER + 2 * 1024)
  const log = disk.subarray(LOG_CLUSTER * CLUSTER, (LOG_CLUSTER + 2) * CLUSTER)
  if (options.isLogBlank === true) log.fill(0xff)
  else {
    // The older page says the opposite: the newer one counts.
    restartPage(7n, 2 - (options.restartFlags ?? 0)).copy(log, 0)
    restartPage(9n, options.restartFlags ?? 0).copy(log, CLUSTER)
  }
  if (options.isLogTorn === true) for (const at of [510, CLUSTER + 510]) {
    log.writeUInt16LE(0x7777, at)
  }
  return disk
}

function restartPage(lsn: bigint, flags: number): Buffer {
  const page = Buffer.alloc(CLUSTER)
  page.write('RSTR', 0, 'latin1')
  page.writeUInt16LE(48, 24)
  page.writeBigUInt64LE(lsn, 48)
  page.writeUInt16LE(0, 48 + 12) // a client in use, as Windows leaves it
  page.writeUInt16LE(flags, 48 + 14)
  return withFixups(page, 30)
}

function record(attributes: readonly Buffer[]): Buffer {
  const bytes = Buffer.alloc(1024)
  bytes.write('FILE', 0, 'latin1')
  bytes.writeUInt16LE(56, 20)
  Buffer.concat([...attributes, Buffer.alloc(4, 0xff)]).copy(bytes, 56)
  return withFixups(bytes, 48)
}

function withFixups(bytes: Buffer, at: number): Buffer {
  const count = bytes.length / 512 + 1
  bytes.writeUInt16LE(at, 4)
  bytes.writeUInt16LE(count, 6)
  bytes.writeUInt16LE(0x1234, at)
  for (let i = 1; i < count; i++) {
    bytes.copy(bytes, at + 2 * i, i * 512 - 2, i * 512)
    bytes.writeUInt16LE(0x1234, i * 512 - 2)
  }
  return bytes
}

function resident(type: number, value: Buffer): Buffer {
  const bytes = Buffer.alloc(24 + Math.ceil(value.length / 8) * 8)
  bytes.writeUInt32LE(value.length, 16)
  bytes.writeUInt16LE(24, 20)
  value.copy(bytes, 24)
  return attribute(type, bytes)
}

function attribute(type: number, bytes: Buffer): Buffer {
  bytes.writeUInt32LE(type, 0)
  bytes.writeUInt32LE(bytes.length, 4)
  return bytes
}
