/** Chains of VHD and VHDX from patterns of writes, read by us, by QEMU and by libvhdi. */

import assert from 'node:assert/strict'
import { spawn, type ChildProcessByStdio } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import fc from 'fast-check'
import { runProgram } from '../../src/base/program.ts'
import { openVirtualDisk, type BlockSource, type VirtualDiskFormat } from '../../src/disk/mod.ts'
import {
  vhdImage, vhdxImage, type FilePieces, type VhdImage, type VhdxBlock,
} from '../../src/disk/testing/mod.ts'

const signal = new AbortController().signal
export const MIB = 2 ** 20
const PYTHON = '/usr/bin/python3'
/** Where nothing shall be read, so that it is seen if it is. */
const JUNK = 0xaa

/** Writes to one layer, in sectors; `zero`: a whole block that says that it is zeros. */
export interface Write {
  readonly kind: 'data' | 'zero'
  readonly at: number
  readonly sectors: number
  readonly fill: number
}

export interface Pattern {
  readonly format: VirtualDiskFormat
  readonly sectorBytes: 512 | 4096
  readonly sizeMiB: number
  /** The lowest is made by QEMU, or by our own writer. */
  readonly isBaseOfQemu: boolean
  readonly layers: readonly (readonly Write[])[]
}

const write: fc.Arbitrary<Write> = fc.record({
  kind: fc.constantFrom('data', 'data', 'data', 'zero'),
  at: fc.nat({ max: 12_287 }),
  sectors: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 5000 })),
  fill: fc.integer({ min: 1, max: 0xa9 }),
})

export const pattern: fc.Arbitrary<Pattern> = fc.record({
  format: fc.constantFrom('vhdx', 'vhdx', 'vhd'),
  sectorBytes: fc.constantFrom(512, 512, 4096),
  sizeMiB: fc.integer({ min: 1, max: 6 }),
  isBaseOfQemu: fc.boolean(),
  layers: fc.array(fc.array(write, { maxLength: 8 }), { minLength: 1, maxLength: 3 }),
})

interface Layer {
  readonly path: string
  /** What a child must say. */
  readonly identity: string
}

/** Makes the files, and holds what we read against the writes, QEMU and the peer. */
export async function checkPattern(
  given: Pattern, folder: string, name: string, peer: DiskPeer): Promise<void> {
  // VHD knows sectors of 512 bytes alone, and QEMU makes no others.
  const sectorBytes = given.format === 'vhd' || given.isBaseOfQemu ? 512 : given.sectorBytes
  const it = { ...given, sectorBytes } as const
  const disk = Buffer.alloc(it.sizeMiB * MIB)
  const layers: Layer[] = []
  for (const [depth, writes] of it.layers.entries()) {
    const file = `${name}-${depth}.${it.format}`
    const path = join(folder, file)
    const parent = layers.at(-1)
    layers.push(parent === undefined && it.isBaseOfQemu
      ? await makeWithQemu(it, writes, path, disk)
      : await makeLayer(it, writes, path, disk, depth, parent, peer.name === 'libvhdi'))
  }
  const top = layers.at(-1)?.path ?? ''
  await using source = await openVirtualDisk(top, it.format, [], signal)
  const read = Buffer.from(await source.read(0, source.sizeBytes, signal))
  assert.ok(read.equals(disk), 'what is read is not what was written')
  const told = hashOf(read)
  const isForQemu = it.layers.length === 1 && sectorBytes === 512
  if (isForQemu) assert.equal(await hashOfQemu(top, it.format), told, 'QEMU')
  const paths = layers.map(({ path }) => path).toReversed()
  if (peer.knows(it)) assert.equal(await peer.ask(paths, [[0, disk.length]]), told, peer.name)
}

function hashOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** Clipped to the disk; undefined: outside of it. */
function placeOf(
  { kind, at, sectors }: Write, { sectorBytes, sizeMiB, format }: Pattern,
): { readonly from: number; readonly end: number } | undefined {
  // Of a VHD's map libvhdi 20210425 tells no sectors apart whose bits share a byte.
  const unit = format === 'vhd' ? 8 * sectorBytes : sectorBytes
  const from = at * unit
  const sizeBytes = sizeMiB * MIB
  if (from >= sizeBytes || (kind === 'zero' && format === 'vhd')) return undefined
  if (kind === 'data') return { from, end: Math.min(sizeBytes, from + sectors * unit) }
  return { from: from - from % MIB, end: from - from % MIB + MIB }
}

async function makeWithQemu(
  it: Pattern, writes: readonly Write[], path: string, disk: Buffer): Promise<Layer> {
  const driver = it.format === 'vhd' ? 'vpc' : 'vhdx'
  const options = it.format === 'vhd' ? 'force_size=on' : 'block_size=1M'
  await run('qemu-img', 'create', '-q', '-f', driver, '-o', options, path, `${it.sizeMiB}M`)
  const commands = writes.flatMap((write) => {
    const place = placeOf(write, it)
    if (place === undefined) return []
    const { from, end } = place
    const fill = write.kind === 'data' ? write.fill : 0
    disk.fill(fill, from, end)
    return ['-c', `write -q -P ${fill} ${from} ${end - from}`]
  })
  if (commands.length > 0) await run('qemu-io', '-f', driver, ...commands, path)
  return { path, identity: await identityOf(path, it.format) }
}

/** As in its newer header, or in its footer. */
export async function identityOf(path: string, format: VirtualDiskFormat): Promise<string> {
  const bytes = await readFile(path)
  if (format === 'vhd') return bytes.toString('hex', bytes.length - 444, bytes.length - 428)
  const [first, second] = [bytes.subarray(65_536), bytes.subarray(131_072)]
  const newer = first.readBigUInt64LE(8) > second.readBigUInt64LE(8) ? first : second
  const guid = Buffer.from(newer.subarray(32, 48))
  for (const [from, end] of [[0, 4], [4, 6], [6, 8]] as const) guid.subarray(from, end).reverse()
  return guid.toString('hex').replace(/(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
}

async function makeLayer(
  it: Pattern, writes: readonly Write[], path: string, disk: Buffer, depth: number,
  parent: Layer | undefined, hasAllMaps: boolean): Promise<Layer> {
  const { sectorBytes } = it
  const here = new Uint8Array(disk.length / sectorBytes)
  const zeros = new Set<number>()
  for (const write of writes) {
    const place = placeOf(write, it)
    if (place === undefined) continue
    const { from, end } = place
    disk.fill(write.kind === 'data' ? write.fill : 0, from, end)
    here.fill(1, from / sectorBytes, end / sectorBytes)
    for (let block = Math.floor(from / MIB); block * MIB < end; block++) {
      if (write.kind === 'zero') zeros.add(block)
      else zeros.delete(block)
    }
  }
  const perBlock = MIB / sectorBytes
  const blocks = new Map<number, VhdxBlock>()
  for (let n = 0; n < it.sizeMiB; n++) {
    const sectors = here.subarray(n * perBlock, (n + 1) * perBlock)
    const has = (sector: number): boolean => sectors[sector] === 1
    if (zeros.has(n)) blocks.set(n, { state: 'zero' })
    else if (sectors.some((one) => one === 1)) {
      const bytes = Buffer.from(disk.subarray(n * MIB, (n + 1) * MIB))
      const isWhole = parent === undefined || sectors.every((one) => one === 1)
      if (!isWhole) {
        for (let sector = 0; sector < perBlock; sector++) {
          if (!has(sector)) bytes.fill(JUNK, sector * sectorBytes, (sector + 1) * sectorBytes)
        }
      }
      blocks.set(n, isWhole ? { state: 'present', bytes } : { state: 'partial', bytes, has })
    }
  }
  const parentName = parent?.path.split('/').at(-1) ?? ''
  const digit = String(depth + 1)
  if (it.format === 'vhd') {
    const id = digit.repeat(32)
    await writePieces(path, vhdImage({
      sizeBytes: disk.length, id, blockBytes: MIB, blocks: vhdBlocks(blocks),
      ...parent === undefined ? {} : { parent: { id: parent.identity, name: parentName } } }))
    return { path, identity: id }
  }
  const dataWriteGuid = `${digit.repeat(8)}-1111-4111-8111-${digit.repeat(12)}`
  await writePieces(path, vhdxImage({
    sizeBytes: disk.length, blockBytes: MIB, sectorBytes, blocks, dataWriteGuid,
    // Where there is no map of a child's sectors libvhdi takes the file's beginning for it.
    ...parent === undefined ? {} : { hasAllMaps,
      parent: { linkage: parent.identity, relativePath: `.\\${parentName}` } } }))
  return { path, identity: dataWriteGuid }
}

function vhdBlocks(blocks: ReadonlyMap<number, VhdxBlock>): VhdImage['blocks'] {
  return new Map([...blocks].flatMap(([number, block]) => 'bytes' in block
    ? [[number, { bytes: block.bytes, ...'has' in block ? { has: block.has } : {} }] as const]
    : []))
}

export async function writePieces(path: string, pieces: FilePieces): Promise<void> {
  await using file = await open(path, 'w')
  for (const { offset, bytes } of pieces) await file.write(bytes, 0, bytes.length, offset)
}

async function hashOfQemu(path: string, format: VirtualDiskFormat): Promise<string> {
  const raw = `${path}.raw`
  await run('qemu-img', 'convert', '-f', format === 'vhd' ? 'vpc' : 'vhdx', '-O', 'raw', path, raw)
  return hashOf(await readFile(raw))
}

const LIBVHDI = `
import hashlib, json, pyvhdi, sys
for line in sys.stdin:
    asked = json.loads(line)
    files = []
    for path in asked['paths']:
        file = pyvhdi.file()
        file.open(path)
        files.append(file)
    for child, parent in zip(files, files[1:]):
        child.set_parent(parent)
    told = hashlib.sha256()
    for offset, length in asked['ranges']:
        while length > 0:
            read = files[0].read_buffer_at_offset(min(length, 1048576), offset)
            assert len(read) > 0
            told.update(read)
            offset += len(read)
            length -= len(read)
    print(told.hexdigest(), flush=True)
`

/** Another reader of chains, in a program of its own, asked one thing after the other. */
export class DiskPeer implements AsyncDisposable {
  readonly name: string
  /** Whether it reads such a chain as it is. */
  readonly knows: (pattern: Pattern) => boolean
  readonly #child: ChildProcessByStdio<Writable, Readable, null>
  readonly #answers: AsyncIterator<string>

  constructor(
    name: string, knows: (pattern: Pattern) => boolean, command: readonly string[],
    environment: Readonly<Record<string, string>> = {}) {
    this.name = name
    this.knows = knows
    const [program = '', ...args] = command
    this.#child = spawn(program, args, {
      stdio: ['pipe', 'pipe', 'inherit'], env: { ...process.env, ...environment } })
    this.#answers = createInterface(this.#child.stdout)[Symbol.asyncIterator]()
  }

  /** The hash of `ranges` of the disk, whose own file comes first, and then its parents. */
  async ask(
    paths: readonly string[], ranges: readonly (readonly [number, number])[]): Promise<string> {
    this.#child.stdin.write(`${JSON.stringify({ paths, ranges })}\n`)
    return String((await this.#answers.next()).value)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#child, 'exit')
    this.#child.stdin.end()
    if (this.#child.exitCode === null) await ended
  }
}

/**
 * libvhdi 20210425. A child's block that says it is zeros it takes from the parent, against
 * MS-VHDX 2.5.1.1.
 */
export function startLibvhdi(): DiskPeer {
  const knows = ({ format, layers }: Pattern): boolean => format === 'vhd' ||
    !layers.slice(1).some((writes) => writes.some(({ kind }) => kind === 'zero'))
  return new DiskPeer('libvhdi', knows, [PYTHON, '-c', LIBVHDI])
}

/** The same of ours. */
export async function hashRanges(
  source: BlockSource, ranges: readonly (readonly [number, number])[]): Promise<string> {
  const told = createHash('sha256')
  for (const [offset, length] of ranges) told.update(await source.read(offset, length, signal))
  return told.digest('hex')
}

export async function run(program: string, ...args: readonly string[]): Promise<void> {
  await runProgram(program, args, { signal })
}

/** Why libvhdi cannot be asked; undefined: it can. */
export async function whyNoLibvhdi(): Promise<string | false> {
  return runProgram(PYTHON, ['-c', 'import pyvhdi'], { signal })
    .then(() => false as const, () => 'python3-libvhdi is missing')
}
