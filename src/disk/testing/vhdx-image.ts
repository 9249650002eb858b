/** Writes VHDX files for tests: with parents, which qemu-img cannot, and with pending logs. */

import { rawCrc32c } from '../probe/crc32c.ts'

const MIB = 2 ** 20
const SECTOR = 4096
const CHUNK_SECTORS = 2 ** 23

export interface VhdxImage {
  readonly sizeBytes: number
  readonly blockBytes: number
  readonly sectorBytes: 512 | 4096
  /** By number. What a block does not hold is in no file, or in the parent's. */
  readonly blocks: ReadonlyMap<number, VhdxBlock>
  /** In lower case, with its hyphens. */
  readonly dataWriteGuid: string
  readonly parent?: { readonly linkage: string; readonly relativePath: string }
  /** Maps of sectors also where no block needs one. */
  readonly hasAllMaps?: boolean
  /**
   * `pending`: the table of blocks is in the log alone. `stale`: the log also has an older sequence
   * that says otherwise. `torn`: as `pending`, and an entry begun and not finished follows.
   * `damaged`: none of its entries is whole.
   */
  readonly log?: 'pending' | 'stale' | 'torn' | 'damaged'
}

export type VhdxBlock =
  | { readonly state: 'zero' | 'unmapped' | 'undefined' }
  | { readonly state: 'present'; readonly bytes: Uint8Array }
  /** `has`: whether the block's sector of this number is here. */
  | { readonly state: 'partial'; readonly bytes: Uint8Array;
    readonly has: (sector: number) => boolean }

const STATES = { undefined: 1, zero: 2, unmapped: 3, present: 6, partial: 7 } as const
const LOG_AT = MIB
const LOG_BYTES = MIB
const METADATA_AT = 2 * MIB
const BAT_AT = 3 * MIB
const LOG_GUID = '5d1b2a30-1111-4222-8333-444455556666'

/** The file's pieces; between them are zeros, and its end is where the last one ends. */
export type FilePieces = readonly { readonly offset: number; readonly bytes: Uint8Array }[]

export function vhdxImage(image: VhdxImage): FilePieces {
  const { bat, contents } = layOut(image)
  const isLogged = image.log !== undefined
  const log = isLogged ? [{ offset: LOG_AT, bytes: logOf(image, bat, endOf(contents)) }] : []
  return [
    { offset: 0, bytes: Buffer.from('vhdxfile') },
    ...[64, 128].map((at, n) => ({ offset: at * 1024, bytes: header(image, n) })),
    ...[192, 256].map((at) => ({ offset: at * 1024, bytes: regionTable(bat.length) })),
    ...log,
    { offset: METADATA_AT, bytes: metadata(image) },
    // The log speaks of it; or it has to be there.
    { offset: BAT_AT, bytes: isLogged ? Buffer.alloc(bat.length) : bat },
    ...contents,
  ]
}

export function assembled(pieces: FilePieces): Buffer {
  const file = Buffer.alloc(endOf(pieces))
  for (const { offset, bytes } of pieces) file.set(bytes, offset)
  return file
}

function endOf(pieces: FilePieces): number {
  return Math.max(0, ...pieces.map(({ offset, bytes }) => offset + bytes.length))
}

function guidBytes(guid: string): Buffer {
  const bytes = Buffer.from(guid.replaceAll('-', ''), 'hex')
  bytes.subarray(0, 4).reverse()
  bytes.subarray(4, 6).reverse()
  bytes.subarray(6, 8).reverse()
  return bytes
}

function sealed(bytes: Buffer): Buffer {
  bytes.writeUInt32LE(0, 4)
  bytes.writeUInt32LE(~rawCrc32c(bytes) >>> 0, 4)
  return bytes
}

function header({ dataWriteGuid, log }: VhdxImage, number: number): Buffer {
  const bytes = Buffer.alloc(4096)
  bytes.write('head', 0, 'latin1')
  bytes.writeBigUInt64LE(BigInt(7 + number), 8)
  guidBytes('11111111-2222-4333-8444-555555555555').copy(bytes, 16)
  guidBytes(dataWriteGuid).copy(bytes, 32)
  // Only the newer one counts.
  if (log !== undefined && number === 1) guidBytes(LOG_GUID).copy(bytes, 48)
  bytes.writeUInt16LE(1, 66)
  bytes.writeUInt32LE(LOG_BYTES, 68)
  bytes.writeBigUInt64LE(BigInt(LOG_AT), 72)
  return sealed(bytes)
}

function regionTable(batBytes: number): Buffer {
  const bytes = Buffer.alloc(65_536)
  bytes.write('regi', 0, 'latin1')
  const regions = [
    ['2dc27766-f623-4200-9d64-115e9bfd4a08', BAT_AT, batBytes],
    ['8b7ca206-4790-4b9a-b8fe-575f050f886e', METADATA_AT, MIB],
  ] as const
  bytes.writeUInt32LE(regions.length, 8)
  for (const [n, [guid, offset, length]] of regions.entries()) {
    guidBytes(guid).copy(bytes, 16 + 32 * n)
    bytes.writeBigUInt64LE(BigInt(offset), 32 + 32 * n)
    bytes.writeUInt32LE(length, 40 + 32 * n)
    bytes.writeUInt32LE(1, 44 + 32 * n)
  }
  return sealed(bytes)
}

function metadata({ sizeBytes, blockBytes, sectorBytes, parent }: VhdxImage): Buffer {
  const bytes = Buffer.alloc(MIB)
  bytes.write('metadata', 0, 'latin1')
  const parameters = Buffer.alloc(8)
  parameters.writeUInt32LE(blockBytes, 0)
  parameters.writeUInt32LE(parent === undefined ? 0 : 2, 4)
  const size = Buffer.alloc(8)
  size.writeBigUInt64LE(BigInt(sizeBytes))
  const number = (value: number): Buffer => {
    const four = Buffer.alloc(4)
    four.writeUInt32LE(value)
    return four
  }
  const items: readonly (readonly [string, Buffer, number])[] = [
    ['caa16737-fa36-4d43-b3b6-33f0aa44e76b', parameters, 4],
    ['2fa54224-cd1b-4876-b211-5dbed83bf4b8', size, 6],
    ['beca12ab-b2e6-4523-93ef-c309e000c746', Buffer.alloc(16, 7), 6],
    ['8141bf1d-a96f-4709-ba47-f233a8faab5f', number(sectorBytes), 6],
    ['cda348c7-445d-4471-9cc9-e9885251c556', number(4096), 6],
    ...parent === undefined ? []
      : [['a8d35f2d-b30b-454d-abf7-d3d84834ab0c', locator(parent), 4] as const],
  ]
  bytes.writeUInt16LE(items.length, 10)
  let at = 65_536
  for (const [n, [guid, value, flags]] of items.entries()) {
    const entry = 32 + 32 * n
    guidBytes(guid).copy(bytes, entry)
    bytes.writeUInt32LE(at, entry + 16)
    bytes.writeUInt32LE(value.length, entry + 20)
    bytes.writeUInt32LE(flags, entry + 24)
    value.copy(bytes, at)
    at += Math.ceil(value.length / 8) * 8
  }
  return bytes
}

function locator({ linkage, relativePath }: NonNullable<VhdxImage['parent']>): Buffer {
  const pairs = [
    ['parent_linkage', `{${linkage}}`], ['relative_path', relativePath],
    ['absolute_win32_path', `C:\\Machines\\${relativePath.split('\\').at(-1) ?? ''}`],
  ]
  const texts = pairs.flat().map((text) => Buffer.from(text, 'utf16le'))
  const head = Buffer.alloc(20 + 12 * pairs.length)
  guidBytes('b04aefb7-d19e-4a81-b789-25b8e9445913').copy(head)
  head.writeUInt16LE(pairs.length, 18)
  let at = head.length
  for (const [n, text] of texts.entries()) {
    const entry = 20 + 12 * (n >> 1)
    head.writeUInt32LE(at, entry + 4 * (n & 1))
    head.writeUInt16LE(text.length, entry + 8 + 2 * (n & 1))
    at += text.length
  }
  return Buffer.concat([head, ...texts])
}

function layOut(image: VhdxImage): { readonly bat: Buffer; readonly contents: FilePieces } {
  const { sizeBytes, blockBytes, sectorBytes, blocks } = image
  const perChunk = CHUNK_SECTORS * sectorBytes / blockBytes
  const chunks = Math.ceil(Math.ceil(sizeBytes / blockBytes) / perChunk)
  const bat = Buffer.alloc(Math.ceil(chunks * (perChunk + 1) * 8 / MIB) * MIB)
  const contents: { offset: number; bytes: Uint8Array }[] = []
  let at = BAT_AT + bat.length
  const place = (bytes: Uint8Array): number => {
    contents.push({ offset: at, bytes })
    at += Math.ceil(bytes.length / MIB) * MIB
    return at - Math.ceil(bytes.length / MIB) * MIB
  }
  const maps = new Map<number, Buffer>()
  const mapOf = (chunk: number): Buffer => {
    const map = maps.get(chunk) ?? Buffer.alloc(MIB)
    if (!maps.has(chunk)) entry((chunk + 1) * (perChunk + 1) - 1, 6, place(map))
    maps.set(chunk, map)
    return map
  }
  const entry = (index: number, state: number, offset: number): void => {
    bat.writeBigUInt64LE(BigInt(offset) + BigInt(state), index * 8)
  }
  for (const [number, block] of blocks) {
    const chunk = Math.floor(number / perChunk)
    const offset = 'bytes' in block ? place(block.bytes) : 0
    entry(number + chunk, STATES[block.state], offset)
    if (block.state !== 'partial') continue
    const map = mapOf(chunk)
    const first = (number % perChunk) * blockBytes / sectorBytes
    for (let sector = 0; sector < blockBytes / sectorBytes; sector++) {
      const bit = first + sector
      if (block.has(sector)) map[bit >> 3] = (map[bit >> 3] ?? 0) | 1 << (bit & 7)
    }
  }
  for (let chunk = 0; image.hasAllMaps === true && chunk < chunks; chunk++) mapOf(chunk)
  return { bat, contents }
}

/** Entries around the log's end, so that it is read as the ring that it is. */
function logOf(image: VhdxImage, bat: Buffer, fileBytes: number): Buffer {
  const log = Buffer.alloc(LOG_BYTES)
  const sectors = Array.from({ length: bat.length / SECTOR }, (_, n) => n)
    .filter((n) => bat.subarray(n * SECTOR, (n + 1) * SECTOR).some((byte) => byte !== 0))
  const updates = sectors.map((n) => ({
    offset: BAT_AT + n * SECTOR, bytes: bat.subarray(n * SECTOR, (n + 1) * SECTOR) }))
  let at = LOG_BYTES - 2 * SECTOR
  const tail = at
  const put = (entry: Buffer): void => {
    for (let n = 0; n < entry.length; n += SECTOR) {
      entry.copy(log, at, n, n + SECTOR)
      at = (at + SECTOR) % LOG_BYTES
    }
  }
  if (image.log === 'stale') {
    // Of an older sequence: what it says of the table is not true any more.
    at = LOG_BYTES / 2
    put(logEntry(3n, at, fileBytes, updates.map(({ offset }) =>
      ({ offset, bytes: Buffer.alloc(SECTOR, 7) }))))
    at = tail
  }
  // What is wrong in the first is put right by those after it.
  let sequence = 21n
  const older = updates.slice(0, 1)
    .map(({ offset }) => ({ offset, bytes: Buffer.alloc(SECTOR, 5) }))
  put(logEntry(sequence++, tail, fileBytes, older))
  put(logEntry(sequence++, tail, fileBytes, [{ offset: BAT_AT, zeros: bat.length }]))
  for (const update of updates) put(logEntry(sequence++, tail, fileBytes, [update]))
  if (image.log === 'torn') {
    const torn = logEntry(sequence, tail, fileBytes, [
      { offset: BAT_AT, bytes: Buffer.alloc(SECTOR, 9) }])
    torn[SECTOR + 100] = 1
    put(torn)
  }
  if (image.log === 'damaged') {
    for (let n = 0; n < LOG_BYTES; n += SECTOR) log[n + 33] = (log[n + 33] ?? 0) ^ 1
  }
  return log
}

type Update = { readonly offset: number } & (
  | { readonly bytes: Buffer } | { readonly zeros: number })

function logEntry(
  sequence: bigint, tail: number, fileBytes: number, updates: readonly Update[]): Buffer {
  const head = Buffer.alloc(SECTOR)
  head.write('loge', 0, 'latin1')
  head.writeUInt32LE(tail, 12)
  head.writeBigUInt64LE(sequence, 16)
  head.writeUInt32LE(updates.length, 24)
  guidBytes(LOG_GUID).copy(head, 32)
  head.writeBigUInt64LE(BigInt(fileBytes), 48)
  head.writeBigUInt64LE(BigInt(fileBytes), 56)
  const data: Buffer[] = []
  for (const [n, update] of updates.entries()) {
    const at = 64 + 32 * n
    head.write('bytes' in update ? 'desc' : 'zero', at, 'latin1')
    head.writeBigUInt64LE(BigInt(update.offset), at + 16)
    head.writeBigUInt64LE(sequence, at + 24)
    if ('zeros' in update) head.writeBigUInt64LE(BigInt(update.zeros), at + 8)
    else {
      update.bytes.copy(head, at + 8, 0, 8)
      update.bytes.copy(head, at + 4, SECTOR - 4)
      const sector = Buffer.from(update.bytes)
      sector.write('data', 0, 'latin1')
      sector.writeUInt32LE(Number(sequence >> 32n), 4)
      sector.writeUInt32LE(Number(sequence & 0xffff_ffffn), SECTOR - 4)
      data.push(sector)
    }
  }
  head.writeUInt32LE(SECTOR * (1 + data.length), 8)
  return sealed(Buffer.concat([head, ...data]))
}
