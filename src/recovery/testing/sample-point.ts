/** A restore point in memory with two disks, to be restored. */

import { systemClock } from '../../base/clock.ts'
import { silentLog } from '../../base/log.ts'
import { seededRandom, systemRandom } from '../../base/random.ts'
import { Secret } from '../../base/secret.ts'
import type { RestorePoint } from '../../catalog/mod.ts'
import { contractContent, memorySource } from '../../disk/testing/mod.ts'
import {
  beginWrite, initRepository, openRepository, storeDisk, type Repository,
} from '../../repository/mod.ts'
import { openMemoryStorage } from '../../storage/testing/mod.ts'

export interface SamplePoint {
  readonly repository: Repository
  readonly point: Pick<RestorePoint, 'machine' | 'disks' | 'documents'>
  /** Disk id → what was stored. */
  readonly contents: ReadonlyMap<string, Uint8Array>
  /** Spoils every pack that holds a part of the disks. */
  damage(): Promise<void>
}

const CHUNK_BYTES = 64 * 1024
const SEGMENT_BYTES = 4 * 1024 * 1024

/** `vda` with `contractContent`, or so many random bytes; `vdb` of 16 MiB with little in it. */
export async function samplePoint(
  signal: AbortSignal, options: { readonly vdaBytes?: number } = {}): Promise<SamplePoint> {
  const storage = openMemoryStorage()
  const person = {
    hostname: 'test', username: 'tester', password: new Secret('secret'), clock: systemClock,
    random: systemRandom,
  }
  await initRepository(storage, { ...person, scryptCost: { N: 2, r: 1, p: 1 } }, signal)
  const repository = await openRepository(storage, { ...person, log: silentLog }, signal)
  await repository.loadIndex(signal)
  const vdb = new Uint8Array(2 ** 24)
  vdb.set(seededRandom(3)(100_000), 10_000_000)
  const contents = new Map<string, Uint8Array>([
    ['vda', options.vdaBytes === undefined ? contractContent() : seededRandom(2)(options.vdaBytes)],
    ['vdb', vdb],
  ])
  await using session = await beginWrite(repository, { workers: 1 }, signal)
  const disks: RestorePoint['disks'][number][] = []
  for (const [id, bytes] of contents) {
    const cut = { chunkBytes: CHUNK_BYTES, segmentBytes: SEGMENT_BYTES }
    const { treeId } = await storeDisk(session, memorySource(bytes), cut, () => {}, signal)
    disks.push({ id, sizeBytes: bytes.length, ...cut, treeId })
  }
  const document = await session.saveData(new Uint8Array(Buffer.from('<domain/>')))
  await session.flush(signal)
  return {
    repository, contents,
    point: {
      machine: {
        version: 1, name: 'db1', platform: 'qemu', architecture: 'x86_64', cpuCount: 2,
        memoryBytes: 2 ** 30, firmware: 'bios', nics: [{ model: 'virtio-net-pci' }],
        disks: disks.map(({ id, sizeBytes, chunkBytes, segmentBytes }) =>
          ({ id, sizeBytes, bus: 'virtio', chunkBytes, segmentBytes })),
      },
      disks,
      documents: [{ name: 'domain.xml', content: [document] }],
    },
    damage: async () => {
      for (const { name, sizeBytes } of await Array.fromAsync(storage.list('data', signal))) {
        const file = { kind: 'data', name } as const
        const bytes = await storage.get(file, {}, signal)
        if (sizeBytes < 100_000) continue
        bytes.fill(0x55, 0, sizeBytes - 50_000)
        await storage.remove(file, signal)
        await storage.put(file, [bytes], signal)
      }
    },
  }
}
