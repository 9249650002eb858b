/**
 * What the probe and the reader of NTFS share: the boot sector, records with their fix-ups, and
 * the attributes in one record (layouts as in ntfs-3g's layout.h). Damage is `undefined`, never a
 * fault.
 */

export const NTFS_ATTRIBUTES = {
  standardInformation: 0x10,
  attributeList: 0x20,
  fileName: 0x30,
  volumeName: 0x60,
  volumeInformation: 0x70,
  data: 0x80,
  indexRoot: 0x90,
  indexAllocation: 0xa0,
  bitmap: 0xb0,
  reparsePoint: 0xc0,
} as const

const ATTRIBUTES_END = 0xffff_ffff
/** Sectors of this many bytes have fix-ups, whatever the disk's own sectors are. */
const STRIDE = 512
const NON_RESIDENT_BYTES = 64

export interface NtfsGeometry {
  readonly sectorBytes: number
  readonly sectors: number
  readonly clusterBytes: number
  readonly recordBytes: number
  readonly mftOffset: number
}

/** From the boot sector; undefined if that is none or makes no sense. */
export function ntfsGeometry(head: Buffer): NtfsGeometry | undefined {
  if (head.length < 512 || head.toString('latin1', 3, 11) !== 'NTFS    ') return undefined
  const sectorBytes = head.readUInt16LE(11)
  const perCluster = head.readUInt8(13)
  // Clusters of more than 64 KiB are written as a negative power of two.
  const clusterBytes = sectorBytes * (perCluster > 0x80 ? 2 ** (256 - perCluster) : perCluster)
  const perRecord = head.readInt8(0x40)
  const recordBytes = perRecord > 0 ? perRecord * clusterBytes : 2 ** -perRecord
  const sectors = Number(head.readBigUInt64LE(0x28))
  const mftOffset = Number(head.readBigUInt64LE(0x30)) * clusterBytes
  const isPlausible = [512, 1024, 2048, 4096].includes(sectorBytes) &&
    clusterBytes > 0 && clusterBytes <= 2 ** 21 && Number.isInteger(Math.log2(clusterBytes)) &&
    recordBytes >= 512 && recordBytes <= 65_536 && recordBytes % STRIDE === 0 &&
    Number.isSafeInteger(sectors * sectorBytes) && Number.isSafeInteger(mftOffset)
  return isPlausible ? { sectorBytes, sectors, clusterBytes, recordBytes, mftOffset } : undefined
}

/** Puts back the last two bytes of each sector; false if they show that the record is torn. */
export function undoFixups(record: Buffer): boolean {
  if (record.length < STRIDE) return false
  const at = record.readUInt16LE(4)
  const count = record.readUInt16LE(6)
  if (count !== record.length / STRIDE + 1 || at + 2 * count > record.length) return false
  const mark = record.readUInt16LE(at)
  for (let i = 1; i < count; i++) {
    const last = i * STRIDE - 2
    if (record.readUInt16LE(last) !== mark) return false
    record.writeUInt16LE(record.readUInt16LE(at + 2 * i), last)
  }
  return true
}

/** A piece of a stream that lies outside of the records. Sizes are said in the first alone. */
export interface NtfsExtent {
  readonly lowestVcn: number
  readonly allocatedBytes: number
  readonly sizeBytes: number
  /** What is behind it was never written and reads as zeros. */
  readonly initialisedBytes: number
  /** "Mapping pairs": where its clusters lie. */
  readonly pairs: Buffer
}

export interface NtfsAttribute {
  readonly type: number
  readonly name: string
  readonly id: number
  readonly flags: number
  /** In the record itself, or outside of it. */
  readonly place: { readonly value: Buffer } | { readonly extent: NtfsExtent }
}

/** All attributes of a record whose fix-ups were undone; undefined if one of them is damaged. */
export function ntfsAttributes(record: Buffer): readonly NtfsAttribute[] | undefined {
  const found: NtfsAttribute[] = []
  let at = record.readUInt16LE(20)
  for (; at + 8 <= record.length;) {
    if (record.readUInt32LE(at) === ATTRIBUTES_END) return found
    const length = record.readUInt32LE(at + 4)
    if (length < 24 || at + length > record.length) return undefined
    const attribute = parseAttribute(record.subarray(at, at + length))
    if (attribute === undefined) return undefined
    found.push(attribute)
    at += length
  }
  return at + 4 <= record.length && record.readUInt32LE(at) === ATTRIBUTES_END ? found : undefined
}

function parseAttribute(bytes: Buffer): NtfsAttribute | undefined {
  const nameAt = bytes.readUInt16LE(10)
  const nameEnd = nameAt + 2 * bytes.readUInt8(9)
  if (nameEnd > bytes.length && nameEnd !== nameAt) return undefined
  const place = bytes.readUInt8(8) === 0 ? residentPlace(bytes) : extentPlace(bytes)
  return place && {
    type: bytes.readUInt32LE(0), name: bytes.toString('utf16le', nameAt, nameEnd),
    id: bytes.readUInt16LE(14), flags: bytes.readUInt16LE(12), place }
}

function residentPlace(bytes: Buffer): NtfsAttribute['place'] | undefined {
  const at = bytes.readUInt16LE(20)
  const length = bytes.readUInt32LE(16)
  return at + length <= bytes.length ? { value: bytes.subarray(at, at + length) } : undefined
}

function extentPlace(bytes: Buffer): NtfsAttribute['place'] | undefined {
  if (bytes.length < NON_RESIDENT_BYTES) return undefined
  const [lowestVcn = 0, allocatedBytes = 0, sizeBytes = 0, initialisedBytes = 0] =
    [16, 40, 48, 56].map((at) => Number(bytes.readBigUInt64LE(at)))
  const pairsAt = bytes.readUInt16LE(32)
  const isPlausible = Number.isSafeInteger(lowestVcn) && pairsAt <= bytes.length &&
    (lowestVcn > 0 || (Number.isSafeInteger(allocatedBytes) && sizeBytes <= allocatedBytes &&
      initialisedBytes <= sizeBytes))
  return isPlausible ? { extent: {
    lowestVcn, allocatedBytes, sizeBytes, initialisedBytes, pairs: bytes.subarray(pairsAt),
  } } : undefined
}

export interface NtfsRun {
  /** Counted in the stream. */
  readonly vcn: number
  /** Counted in the volume; undefined: a hole. */
  readonly lcn: number | undefined
  readonly clusters: number
}

/** The runs that mapping pairs speak of, in order; undefined if they are damaged. */
export function ntfsRuns({ pairs, lowestVcn }: NtfsExtent): readonly NtfsRun[] | undefined {
  const runs: NtfsRun[] = []
  let [vcn, lcn] = [lowestVcn, 0]
  for (let at = 0; at < pairs.length;) {
    const sizes = pairs.readUInt8(at)
    if (sizes === 0) return runs
    const [lengthBytes, offsetBytes] = [sizes & 0xf, sizes >> 4]
    const next = at + 1 + lengthBytes + offsetBytes
    if (lengthBytes < 1 || lengthBytes > 6 || offsetBytes > 6 || next > pairs.length) {
      return undefined
    }
    const clusters = pairs.readIntLE(at + 1, lengthBytes)
    if (offsetBytes > 0) lcn += pairs.readIntLE(at + 1 + lengthBytes, offsetBytes)
    if (clusters < 1 || lcn < 0) return undefined
    runs.push({ vcn, lcn: offsetBytes === 0 ? undefined : lcn, clusters })
    vcn += clusters
    if (!Number.isSafeInteger(vcn) || !Number.isSafeInteger(lcn)) return undefined
    at = next
  }
  return undefined
}
