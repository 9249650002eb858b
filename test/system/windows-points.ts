/** Restore points of a Windows that never ran: an NTFS with event logs of our own making. */

import { randomUUID } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { storePoint } from '../../src/catalog/testing/mod.ts'
import type { ApplicationEvidence, Evidence } from '../../src/consistency/mod.ts'
import { sampleEvidence } from '../../src/consistency/testing/mod.ts'
import { openRawSource, type BlockSource } from '../../src/disk/mod.ts'
import { eventLogBytes, type WrittenEvent } from '../../src/eventlog/testing/mod.ts'
import { beginWrite, storeDisk, type Repository } from '../../src/repository/mod.ts'
import { insideNtfs, makeNtfs } from '../interop/mounted-ntfs.ts'

const MIB = 2 ** 20
const CUT = { chunkBytes: 64 * 1024, segmentBytes: 4 * MIB }
const DISK_MIB = 16

export interface WindowsLogs {
  readonly application: readonly WrittenEvent[]
  readonly system: readonly WrittenEvent[]
}

/** An image of an NTFS that Windows could lie on, with these logs. */
export async function windowsImage(folder: string, logs: WindowsLogs): Promise<string> {
  const path = join(folder, `${randomUUID()}.img`)
  await makeNtfs(path, DISK_MIB)
  await insideNtfs(path, (root) => fillWithLogs(root, logs))
  return path
}

/** As snapshots leave them: the header knows of one chunk. */
export async function fillWithLogs(
  root: string, { application, system }: WindowsLogs): Promise<void> {
  const place = join(root, 'Windows', 'System32', 'winevt', 'Logs')
  await mkdir(place, { recursive: true })
  for (const [name, events] of [['Application', application], ['System', system]] as const) {
    await writeFile(join(place, `${name}.evtx`), eventLogBytes(events, { headerChunks: 1 }))
  }
}

/** SQL Server and the registry, as the documents of a platform state them. */
const stated = (name: string, kind: ApplicationEvidence['kind']): ApplicationEvidence => ({
  name, kind, recovery: 'unknown', data: { state: 'located', diskIds: ['vda'] },
  writer: {
    contract: 'platform-stated', state: 'stable', metadataDocument: 'writers',
    componentsDocument: 'components', statement: 'state 5, S_OK' },
})

function windowsEvidence(takenAt: string, sizeBytes: number): Evidence {
  const fileSystems = [{ mountpoint: 'C:\\', type: 'ntfs', device: '', diskIds: ['vda'] }]
  const list = { state: 'listed', fileSystems } as const
  const document = { text: '<xml/>', shows: 'application' } as const
  const sample = sampleEvidence()
  const disk = { id: 'vda', sizeBytes }
  return {
    ...sample, pointId: randomUUID(), machine: { name: 'win1', platform: 'vsphere' },
    hold: { by: 'platform', claimed: 'application', documents: [
      { name: 'writers', ...document }, { name: 'components', ...document }] },
    instant: { ...sample.instant, takenAt, disks: [disk] },
    fileSystems: {
      before: list, after: list, probes: [{ diskId: 'vda', state: 'probed' }],
      volumes: [{
        diskIds: ['vda'], where: 'whole disk', layer: 'disk', partition: null, type: 'ntfs',
        role: 'file-system', sign: 'clean', hibernation: 'unknown',
        detail: 'not dirty, and the log was closed' }] },
    applications: { declaredNone: false, discovery: { state: 'done', by: 'a test',
      applications: [stated('SqlServerWriter', 'protected')] } },
    reading: { state: 'finished', instant: { intact: true }, disks: [
      { diskId: 'vda', bytesRead: disk.sizeBytes, base: { full: 'first-backup' } }] },
  }
}

/** Stores a point of the machine `win1`, taken then; its UUID. A source stays the caller's. */
export async function storeWindowsPoint(
  repository: Repository, image: string | BlockSource, takenAtMs: number, t: TestContext,
): Promise<string> {
  await using opened = new AsyncDisposableStack()
  const source = typeof image === 'string'
    ? opened.use(await openRawSource(image, t.signal)) : image
  const evidence = windowsEvidence(new Date(takenAtMs).toISOString(), source.sizeBytes)
  const { treeId } = await storeInto(repository, source, t)
  await storePoint(repository, {
    evidence, timeMs: takenAtMs, diskTrees: new Map([['vda', treeId]]),
    machine: {
      version: 1, name: 'win1', platform: 'vsphere', architecture: 'x86_64', cpuCount: 2,
      memoryBytes: 2 ** 30, firmware: 'bios', nics: [],
      disks: [{ id: 'vda', sizeBytes: source.sizeBytes, bus: 'sata', ...CUT }] },
  })
  return evidence.pointId
}

async function storeInto(
  repository: Repository, source: Awaited<ReturnType<typeof openRawSource>>, t: TestContext,
): ReturnType<typeof storeDisk> {
  await using session = await beginWrite(repository, { workers: 1 }, t.signal)
  const stored = await storeDisk(session, source, CUT, () => {}, t.signal)
  await session.flush(t.signal)
  return stored
}
