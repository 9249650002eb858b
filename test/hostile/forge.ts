/** Forges repositories: any content, sealed with the right key, so that parsers are reached. */

import { createHash } from 'node:crypto'
import { zstdCompressSync } from 'node:zlib'
import { systemRandom } from '../../src/base/random.ts'
import { openPointRepository, SAMPLE_MACHINE } from '../../src/catalog/testing/mod.ts'
import { encodeEvidence, type Evidence } from '../../src/consistency/mod.ts'
import { sampleEvidence, signAnything, testSigner } from '../../src/consistency/testing/mod.ts'
import { memorySource } from '../../src/disk/testing/mod.ts'
import { beginWrite, storeDisk, type Repository } from '../../src/repository/mod.ts'
import type { Storage } from '../../src/storage/mod.ts'
import { openMemoryStorage } from '../../src/storage/testing/mod.ts'

const signal = new AbortController().signal
type SealedKind = 'index' | 'snapshots' | 'locks'

interface ForgedBlob {
  readonly kind: 'data' | 'tree'
  readonly id: string
  readonly sealed: Uint8Array
  readonly uncompressedLength: number
}

export interface BlobLies {
  /** Said instead of the plaintext's hash. */
  readonly id?: string
  /** Said instead of the plaintext's length. */
  readonly uncompressedLength?: number
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value) ?? 'null')

export class Forge {
  readonly storage: Storage
  readonly #key: Repository['masterKey']
  #blobs: ForgedBlob[] = []

  constructor(storage: Storage, key: Repository['masterKey']) {
    this.storage = storage
    this.#key = key
  }

  seal(plaintext: Uint8Array): Uint8Array {
    return this.#key.seal(plaintext, systemRandom)
  }

  /** A blob of the pack under way; returns the id it goes by. */
  blob(kind: 'data' | 'tree', plaintext: Uint8Array, lies: BlobLies = {}): string {
    const id = lies.id ?? sha256(plaintext)
    const sealed = this.seal(zstdCompressSync(plaintext))
    this.#blobs.push({ kind, id, sealed, uncompressedLength:
      lies.uncompressedLength ?? plaintext.length })
    return id
  }

  tree(value: unknown): string {
    return this.blob('tree', json(value))
  }

  /** A sealed JSON file of this content, under its true name. */
  async file(kind: SealedKind, value: unknown): Promise<string> {
    const bytes = Buffer.isBuffer(value) ? value : json(value)
    return this.raw(kind, this.seal(Buffer.concat([Buffer.of(2), zstdCompressSync(bytes)])))
  }

  async raw(kind: SealedKind | 'data' | 'keys', bytes: Uint8Array): Promise<string> {
    const name = sha256(bytes)
    await this.storage.remove({ kind, name }, signal)
    await this.storage.put({ kind, name }, [bytes], signal)
    return name
  }

  async replaceConfig(plaintext: Uint8Array): Promise<void> {
    const file = { kind: 'config', name: 'config' } as const
    await this.storage.remove(file, signal)
    await this.storage.put(file, [this.seal(plaintext)], signal)
  }

  /** Stores the blobs as a pack, and an index that `lie` may change. */
  async flush(lie: (index: { packs: unknown[] }) => unknown = (it) => it): Promise<void> {
    const blobs = this.#blobs
    this.#blobs = []
    const header = Buffer.concat(blobs.map((blob) => {
      const entry = Buffer.alloc(41)
      entry.writeUInt8(blob.kind === 'tree' ? 3 : 2)
      entry.writeUInt32LE(blob.sealed.length, 1)
      entry.writeUInt32LE(blob.uncompressedLength, 5)
      entry.write(blob.id, 9, 'hex')
      return entry
    }))
    const sealedHeader = this.seal(header)
    const length = Buffer.alloc(4)
    length.writeUInt32LE(sealedHeader.length)
    const pack = Buffer.concat([...blobs.map(({ sealed }) => sealed), sealedHeader, length])
    const id = await this.raw('data', pack)
    let offset = 0
    const listed = blobs.map(({ kind, id, sealed, uncompressedLength }) => {
      const place = { id, type: kind, offset, length: sealed.length,
        uncompressed_length: uncompressedLength }
      offset += sealed.length
      return place
    })
    await this.file('index', lie({ packs: [{ id, blobs: listed }] }))
  }

  async snapshot(tree: string, changes: object = {}): Promise<string> {
    return this.file('snapshots', {
      time: '2026-08-01T10:00:02Z', tree, paths: ['/stillpoint'], hostname: 'db1',
      username: 'x', tags: ['stillpoint', 'grade=application'], ...changes })
  }
}

const META = {
  mode: 384, mtime: '1980-01-01T00:00:00Z', atime: '1980-01-01T00:00:00Z',
  ctime: '1980-01-01T00:00:00Z', uid: 0, gid: 0 }

export const fileEntry = (name: string, content: readonly string[], size = 0): object =>
  ({ name, type: 'file', ...META, size, content })
export const folderEntry = (name: string, subtree: string): object =>
  ({ name, type: 'dir', ...META, mode: 2147484096, subtree })

export const DISK = (() => {
  const bytes = Buffer.alloc(2 ** 20)
  for (let at = 0; at < bytes.length / 2; at += 8) bytes.writeDoubleLE(Math.sqrt(at), at)
  return bytes
})()

export interface ForgedPoint {
  /** Signed, or the whole file where it is bytes. */
  readonly evidence: unknown
  /** What the signed predicate says besides. */
  readonly place: object
  readonly machine: unknown
  /** Entries of the root, of `/disks` and of `/platform`. */
  readonly root: object[]
  readonly disks: object[]
  readonly platform: object[]
}

export interface Forgery {
  readonly storage: Storage
  readonly forge: Forge
  /** The tree of disk `vda`: `DISK` in chunks of 64 KiB and segments of 1 MiB. */
  readonly diskTree: string
  /** Stores a true point of one disk, changed by `lie`; returns its snapshot's id. */
  readonly point: (
    lie?: (point: ForgedPoint) => ForgedPoint, snapshot?: object) => Promise<string>
}

export function trueEvidence(): Evidence {
  const evidence = sampleEvidence()
  return {
    ...evidence, instant: { ...evidence.instant, disks: [{ id: 'vda', sizeBytes: DISK.length }] } }
}

const CUT = { chunkBytes: 65_536, segmentBytes: 2 ** 20 }

/** A repository with `DISK` in it, made once. */
const original = (async () => {
  const storage = openMemoryStorage()
  await using repository = await openPointRepository(storage)
  await repository.loadIndex(signal)
  await using session = await beginWrite(repository, { workers: 1 }, signal)
  const { treeId } = await storeDisk(session, memorySource(DISK), CUT, () => {}, signal)
  await session.flush(signal)
  return { storage, repository, diskTree: treeId }
})()

/** A repository of its own with one disk stored in it and no point yet. */
export async function beginForgery(): Promise<Forgery> {
  const { storage: from, repository, diskTree } = await original
  const storage = openMemoryStorage()
  for (const kind of ['config', 'keys', 'data', 'index'] as const) {
    for await (const { name } of from.list(kind, signal)) {
      await storage.put({ kind, name }, [await from.get({ kind, name }, {}, signal)], signal)
    }
  }
  const forge = new Forge(storage, repository.masterKey)
  const machine = { ...SAMPLE_MACHINE, disks: [
    { id: 'vda', sizeBytes: DISK.length, bus: 'virtio', ...CUT }] }
  return {
    storage, forge, diskTree,
    point: async (lie = (it) => it, snapshot = {}) => {
      const found = lie({
        evidence: JSON.parse(encodeEvidence(trueEvidence())) as unknown, place: TRUE_PLACE,
        machine, root: [],
        disks: [folderEntry('vda', diskTree)], platform: [] })
      const platform = forge.tree({ nodes: found.platform })
      const root = forge.tree({ nodes: [
        folderEntry('disks', forge.tree({ nodes: found.disks })),
        textEntry(forge, 'evidence.dsse.json', signed(found, platform)),
        textEntry(forge, 'machine.json', found.machine),
        folderEntry('platform', platform),
        ...found.root,
      ] })
      await forge.flush()
      return forge.snapshot(root, snapshot)
    },
  }
}

const TRUE_PLACE = {
  sequence: 1, previous: null, repositoryId: 'e'.repeat(64),
  signer: { publicKey: testSigner().publicKey.pem },
}

/** A statement on these parts, signed with the right key. */
function signed({ evidence, place, machine, disks }: ForgedPoint, platform: string): unknown {
  if (Buffer.isBuffer(evidence)) return evidence
  const subject = [
    ...(Array.isArray(disks) ? disks : []).map((it) => {
      const { name, subtree } = (it ?? {}) as
        { readonly name?: unknown; readonly subtree?: unknown }
      return { name: `/disks/${String(name)}`, digest: { sha256: subtree } }
    }),
    { name: '/platform', digest: { sha256: platform } },
    { name: '/machine.json', digest: { sha256: sha256(json(machine)) } },
  ]
  return Buffer.from(signAnything({
    _type: 'https://in-toto.io/Statement/v1', subject,
    predicateType: 'urn:stillpoint:restore-point:1', predicate: { ...place, evidence },
  }))
}

function textEntry(forge: Forge, name: string, value: unknown): object {
  const bytes = Buffer.isBuffer(value) ? value : json(value)
  return fileEntry(name, [forge.blob('data', bytes)], bytes.length)
}
