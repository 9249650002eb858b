/** A machine in memory, a repository in memory, and backups of the one into the other. */

import { systemClock as clock } from '../../base/clock.ts'
import type { Log } from '../../base/log.ts'
import { silentLog } from '../../base/log.ts'
import { seededRandom } from '../../base/random.ts'
import { NO_PINS, readRestorePoints, type Platform, type RestorePoint } from '../../catalog/mod.ts'
import { openPointRepository, SAMPLE_MACHINE } from '../../catalog/testing/mod.ts'
import type { ApplicationHost, ApplicationHostMissing } from '../../consistency/mod.ts'
import {
  FakeProvider, FakeTracking, testSigner, type FakeProviderOptions,
} from '../../consistency/testing/mod.ts'
import { openDiskImage, type Repository } from '../../repository/mod.ts'
import { openMemoryStorage } from '../../storage/testing/mod.ts'
import { auditTracking, type TrackingAudit } from '../audit-tracking.ts'
import type { BackupRequest } from '../backup-request.ts'
import type { BackupSummary } from '../backup-summary.ts'
import { runBackup } from '../run-backup.ts'

export const signal = new AbortController().signal
export const CHUNK = 512 * 1024
/** The second is of no whole number of chunks, nor of blocks. */
const SIZES = { vda: 8 * CHUNK, vdb: 6 * CHUNK + 5000 }

export interface BenchWishes extends Partial<BackupRequest> {
  /** Default: there is no way to them. */
  readonly applications?: ApplicationHost | ApplicationHostMissing
}

const NO_AGENT = { missing: 'there is no agent' }

export class BackupBench implements AsyncDisposable {
  readonly disks = new Map<string, Uint8Array>()
  readonly tracking = new FakeTracking()
  readonly provider: FakeProvider
  readonly repository: Repository
  /** Events of warnings and errors. */
  readonly logged: string[] = []
  /** The provider cannot tell the power behind the instant. */
  cannotTellPower = false

  constructor(repository: Repository, options: Partial<FakeProviderOptions>) {
    this.repository = repository
    const noise = seededRandom(1)
    for (const [id, size] of Object.entries(SIZES)) this.disks.set(id, noise(size))
    this.provider = new FakeProvider({
      clock, disks: this.disks, commitMs: 0, heldBy: { kind: 'requestor', freezer: {
        missing: 'no-agent-configured', detail: 'there is none' } }, ...options })
  }

  write(disk: string, offset: number, text: string): void {
    const bytes = this.disks.get(disk)
    const end = Math.min(bytes?.length ?? 0, offset + text.length)
    bytes?.set(Buffer.from(text, 'latin1').subarray(0, Math.max(0, end - offset)), offset)
  }

  /** A copy of each disk as it is. */
  contents(): Map<string, Buffer> {
    return new Map([...this.disks].map(([id, bytes]) => [id, Buffer.from(bytes)]))
  }

  backup(
    { applications = NO_AGENT, ...wishes }: BenchWishes = {}, running = signal,
  ): Promise<BackupSummary> {
    const note = (event: string): void => { this.logged.push(event) }
    const log: Log = { ...silentLog, warn: note, error: note }
    return runBackup({
      repository: this.repository, platform: this.#platform(), machine: SAMPLE_MACHINE.name,
      settings: { require: 'crash', onWeaker: undefined }, full: false, exclude: [],
      openApplications: async () => applications,
      declaredNoApplications: false, limits: { freezeMs: 1000, holdMs: 1000, thawMs: 1000 },
      write: { workers: 1 }, programVersion: 'test', signer: testSigner(), pins: NO_PINS,
      clock, random: seededRandom(this.#seed++),
      log, onEvent: () => {}, ...wishes,
    }, running)
  }

  audit(share = 1): Promise<TrackingAudit> {
    return auditTracking({
      repository: this.repository, platform: this.#platform(), machine: SAMPLE_MACHINE.name,
      exclude: [], limits: { freezeMs: 1000, holdMs: 1000, thawMs: 1000 },
      programVersion: 'test', signer: testSigner(), pins: NO_PINS,
      clock, random: seededRandom(this.#seed++), share, onProgress: () => {},
    }, signal)
  }

  #seed = 1

  #platform(): Platform {
    const disks = [...this.disks].map(([id, { length }]) => (
      { id, sizeBytes: length, bus: 'virtio' as const }))
    const tracked = this.tracking.wrap(this.provider)
    return {
      kind: 'qemu',
      machines: async () => [],
      describe: async () => ({ machine: { ...SAMPLE_MACHINE, disks }, documents: [] }),
      provider: () => ({
        name: 'fake',
        survey: (exclude, signal) => tracked.survey(exclude, signal),
        prepare: async (request, signal) => {
          const set = await tracked.prepare(request, signal)
          return this.cannotTellPower ? { ...set, powerNow: async () => undefined } : set
        },
      }),
      [Symbol.asyncDispose]: async () => {},
    }
  }

  async points(): Promise<readonly RestorePoint[]> {
    return (await readRestorePoints(this.repository, signal))
      .filter((point): point is RestorePoint => point.state === 'readable')
  }

  /** The disks of a point as they are stored. */
  async restored(pointId: string): Promise<Map<string, Buffer>> {
    const point = (await this.points()).find((point) => point.pointId === pointId)
    const disks = new Map<string, Buffer>()
    for (const disk of point?.disks ?? []) {
      await using image = openDiskImage(this.repository, disk.treeId, disk)
      disks.set(disk.id, Buffer.from(await image.read(0, disk.sizeBytes, signal)))
    }
    return disks
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.repository[Symbol.asyncDispose]()
  }
}

/** A machine of two disks full of noise, and an empty repository. */
export async function backupBench(
  options: Partial<FakeProviderOptions> = {}): Promise<BackupBench> {
  return new BackupBench(await openPointRepository(openMemoryStorage()), options)
}

/** By disk, the point whose chunks were taken over, or why all was read. */
export function basesOf({ evidence }: BackupSummary): Readonly<Record<string, string>> {
  const { reading } = evidence
  if (reading.state === 'unfinished') return {}
  return Object.fromEntries(reading.disks.map(({ diskId, base }) =>
    [diskId, 'since' in base ? base.since : base.full]))
}
