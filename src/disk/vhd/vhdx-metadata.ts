/** The metadata of a VHDX (MS-VHDX 2.6): sizes, and the parent's names where it has one. */

import type { BlockSource } from '../block-source.ts'
import { guidText } from '../probe/text.ts'
import type { Parent } from './parent-chain.ts'
import { failVhdx, MIB, number64, readFile, type Region } from './vhdx-file.ts'

const TABLE_BYTES = 64 * 1024
const MAX_ENTRIES = 2047
const MAX_LOCATOR_BYTES = 64 * 1024
const MAX_DISK_BYTES = 64 * 2 ** 40
const HAS_PARENT = 2
const IS_REQUIRED = 4

const ITEMS = {
  fileParameters: 'caa16737-fa36-4d43-b3b6-33f0aa44e76b',
  diskSize: '2fa54224-cd1b-4876-b211-5dbed83bf4b8',
  diskId: 'beca12ab-b2e6-4523-93ef-c309e000c746',
  sectorBytes: '8141bf1d-a96f-4709-ba47-f233a8faab5f',
  physicalSectorBytes: 'cda348c7-445d-4471-9cc9-e9885251c556',
  parentLocator: 'a8d35f2d-b30b-454d-abf7-d3d84834ab0c',
} as const
const LOCATOR_OF_VHDX = 'b04aefb7-d19e-4a81-b789-25b8e9445913'
/** In the order in which they are tried. */
const PATH_KEYS = ['relative_path', 'volume_path', 'absolute_win32_path'] as const

export interface VhdxMetadata {
  readonly blockBytes: number
  readonly sectorBytes: number
  readonly sizeBytes: number
  readonly parent: Parent | undefined
}

/** Fault: `disk-unreadable`. */
export async function readMetadata(
  file: BlockSource, region: Region, signal: AbortSignal): Promise<VhdxMetadata> {
  if (region.length < MIB) failVhdx(file.name, 'its metadata are cut')
  const table = await readFile(file, region.offset, TABLE_BYTES, signal)
  const count = table.readUInt16LE(10)
  if (table.toString('latin1', 0, 8) !== 'metadata' || count > MAX_ENTRIES) {
    failVhdx(file.name, 'its metadata are damaged')
  }
  const items = new Map<string, Region>()
  for (let at = 32; at < 32 + 32 * count; at += 32) {
    const guid = guidText(table.subarray(at, at + 16)) ?? ''
    const item = { offset: table.readUInt32LE(at + 16), length: table.readUInt32LE(at + 20) }
    const isKnown = (Object.values(ITEMS) as readonly string[]).includes(guid)
    if (!isKnown && (table.readUInt32LE(at + 24) & IS_REQUIRED) !== 0) {
      failVhdx(file.name, `it has metadata that are not known (${guid})`)
    }
    if (item.offset < TABLE_BYTES || item.offset + item.length > region.length) {
      failVhdx(file.name, 'its metadata are damaged')
    }
    items.set(guid, item)
  }
  const read = async (guid: string, least: number, most: number): Promise<Buffer> => {
    const item = items.get(guid)
    if (item === undefined || item.length < least || item.length > most) {
      failVhdx(file.name, 'its metadata lack something')
    }
    return readFile(file, region.offset + item.offset, item.length, signal)
  }
  const parameters = await read(ITEMS.fileParameters, 8, 8)
  const metadata = {
    blockBytes: parameters.readUInt32LE(0),
    sectorBytes: (await read(ITEMS.sectorBytes, 4, 4)).readUInt32LE(0),
    sizeBytes: number64(await read(ITEMS.diskSize, 8, 8), 0),
  }
  checkSizes(file, metadata)
  const hasParent = (parameters.readUInt32LE(4) & HAS_PARENT) !== 0
  const parent = hasParent
    ? parseLocator(file, await read(ITEMS.parentLocator, 20, MAX_LOCATOR_BYTES)) : undefined
  return { ...metadata, parent }
}

function checkSizes(
  file: BlockSource, { blockBytes, sectorBytes, sizeBytes }: Omit<VhdxMetadata, 'parent'>): void {
  const isPlausible = blockBytes >= MIB && blockBytes <= 256 * MIB &&
    Number.isInteger(Math.log2(blockBytes)) && (sectorBytes === 512 || sectorBytes === 4096) &&
    sizeBytes > 0 && sizeBytes <= MAX_DISK_BYTES && sizeBytes % sectorBytes === 0
  if (!isPlausible) failVhdx(file.name, 'its sizes make no sense')
}

/** "Parent Locator": keys and values in UTF-16. */
function parseLocator(file: BlockSource, bytes: Buffer): Parent {
  if (guidText(bytes.subarray(0, 16)) !== LOCATOR_OF_VHDX) {
    failVhdx(file.name, 'its parent is of an unknown kind')
  }
  const count = bytes.readUInt16LE(18)
  if (20 + 12 * count > bytes.length) failVhdx(file.name, 'the name of its parent is damaged')
  const values = new Map<string, string>()
  for (let at = 20; at < 20 + 12 * count; at += 12) {
    const [keyAt, valueAt] = [bytes.readUInt32LE(at), bytes.readUInt32LE(at + 4)]
    const [keyEnd, valueEnd] = [
      keyAt + bytes.readUInt16LE(at + 8), valueAt + bytes.readUInt16LE(at + 10)]
    if (keyEnd > bytes.length || valueEnd > bytes.length) {
      failVhdx(file.name, 'the name of its parent is damaged')
    }
    values.set(
      bytes.toString('utf16le', keyAt, keyEnd), bytes.toString('utf16le', valueAt, valueEnd))
  }
  const identities = ['parent_linkage', 'parent_linkage2'].map((key) => values.get(key))
    .filter((value) => value !== undefined)
    .map((value) => value.replace(/^\{|\}$/g, '').toLowerCase())
  const paths = PATH_KEYS.map((key) => values.get(key)).filter((value) => value !== undefined)
  if (identities.length === 0 || paths.length === 0) {
    failVhdx(file.name, 'it does not say which its parent is')
  }
  return { identities, paths }
}
