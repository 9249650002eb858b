/** A real QEMU without a guest, whose disks a test writes to as a guest would, and its backups. */

import assert from 'node:assert/strict'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import {
  auditTracking, runBackup, type BackupEvent, type BackupSummary, type TrackingAudit,
} from '../../src/backup/mod.ts'
import { systemClock as clock } from '../../src/base/clock.ts'
import { silentLog } from '../../src/base/log.ts'
import { runProgram } from '../../src/base/program.ts'
import { seededRandom, systemRandom as random } from '../../src/base/random.ts'
import { NO_PINS, readRestorePoints, type RestorePoint } from '../../src/catalog/mod.ts'
import type { DiskBase } from '../../src/consistency/mod.ts'
import { testSigner } from '../../src/consistency/testing/mod.ts'
import { openQemuPlatform } from '../../src/providers/mod.ts'
import { BareQemu } from '../../src/providers/testing/mod.ts'
import { restoreDisks } from '../../src/recovery/mod.ts'
import { DEFAULT_CHUNK_BYTES, type Repository } from '../../src/repository/mod.ts'
import { afterCommit, testFolder, withRepository } from './rig.ts'

const KIB = 1024
const MIB = 1024 * KIB
/** No multiple of a chunk, nor of what a bit of a bitmap stands for. */
export const DISK_BYTES = 17 * MIB + 2560
const BIT_BYTES = 64 * KIB
const LIMITS = { freezeMs: 20_000, holdMs: 10_000, thawMs: 20_000 }

export interface BareDisk {
  readonly id: string
  /** The image's name without suffix; default the id. */
  readonly image?: string
  readonly format?: 'qcow2' | 'raw'
}

export interface BareBackup {
  readonly full?: boolean
  readonly exclude?: readonly string[]
  readonly settings?: Parameters<typeof runBackup>[0]['settings']
  /** Called behind the commit, while the disks are still as they are captured. */
  readonly atInstant?: () => Promise<void>
  readonly onEvent?: (event: BackupEvent) => void
}

/** One machine over several lives of its QEMU; everything is gone when the test is over. */
export class BareMachine {
  readonly folder: string
  readonly #signal: AbortSignal
  #qemu: BareQemu | undefined
  #disks: readonly BareDisk[] = []
  /** By image, the first bytes of the chunks written to since `forgetWrites`. */
  readonly #touched = new Map<string, Set<number>>()

  private constructor(folder: string, signal: AbortSignal) {
    this.folder = folder
    this.#signal = signal
  }

  static async start(
    t: TestContext, disks: readonly BareDisk[] = [{ id: 'vda' }, { id: 'vdb' }],
  ): Promise<BareMachine> {
    const machine = new BareMachine(await testFolder(t), t.signal)
    t.after(() => machine.kill())
    for (const disk of disks) await machine.makeImage(disk)
    await machine.start(disks)
    return machine
  }

  get qemu(): BareQemu {
    assert.ok(this.#qemu !== undefined, 'QEMU does not run')
    return this.#qemu
  }

  get qmpSocket(): string {
    return this.qemu.qmpSocket
  }

  async makeImage(disk: BareDisk, sizeBytes = DISK_BYTES): Promise<void> {
    await runProgram('qemu-img', ['create', '-q', '-f', disk.format ?? 'qcow2', this.#path(disk),
      String(sizeBytes)], { signal: this.#signal })
  }

  #path({ id, image = id }: BareDisk): string {
    return join(this.folder, `${image}.img`)
  }

  pathOf(diskId: string): string {
    return this.#path(this.#disk(diskId))
  }

  #disk(diskId: string): BareDisk {
    const disk = this.#disks.find(({ id }) => id === diskId)
    assert.ok(disk !== undefined, diskId)
    return disk
  }

  /** Starts QEMU with these disks; default those of its last life. */
  async start(disks: readonly BareDisk[] = this.#disks): Promise<void> {
    this.#disks = disks
    for (const name of ['qmp.sock', 'own.sock']) await rm(join(this.folder, name), { force: true })
    this.#qemu = await BareQemu.start({ folder: this.folder, images: [], arguments: [
      '-name', 'bare', ...disks.flatMap((disk) => [
        '-blockdev', `driver=${disk.format ?? 'qcow2'},node-name=n-${disk.id},discard=unmap,` +
          `file.driver=file,file.discard=unmap,file.filename=${this.#path(disk)}`,
        '-device', `virtio-blk-pci,id=${disk.id},drive=n-${disk.id}`,
      ])] })
  }

  /** Ends QEMU in order, as an operator does who powers the machine off. */
  async shutDown(): Promise<void> {
    await this.qemu.client.execute('quit', {}, this.#signal)
    await this.qemu[Symbol.asyncDispose]()
    this.#qemu = undefined
  }

  /** Ends QEMU as a loss of power does. */
  async kill(): Promise<void> {
    await this.#qemu?.[Symbol.asyncDispose]()
    this.#qemu = undefined
  }

  async #io(diskId: string, command: string): Promise<void> {
    await this.qemu.qemuIo(`/machine/peripheral/${diskId}/virtio-backend`, command)
  }

  async write(diskId: string, pattern: number, offset: number, length: number): Promise<void> {
    await this.#io(diskId, `write -P ${pattern} ${offset} ${length}`)
    this.#touch(diskId, offset, length)
  }

  async discard(diskId: string, offset: number, length: number): Promise<void> {
    await this.#io(diskId, `discard ${offset} ${length}`)
    this.#touch(diskId, offset, length)
  }

  #touch(diskId: string, offset: number, length: number): void {
    const touched = this.#touched.get(diskId) ?? new Set()
    this.#touched.set(diskId, touched)
    const first = Math.floor(offset / BIT_BYTES) * BIT_BYTES
    for (let at = first; at < offset + length; at += BIT_BYTES) {
      touched.add(Math.floor(at / DEFAULT_CHUNK_BYTES) * DEFAULT_CHUNK_BYTES)
    }
  }

  /** `count` writes of random places, lengths and contents; every third a trim, if wanted. */
  async disturb(seed: number, count: number, trims = false): Promise<void> {
    const dice = seededRandom(seed)
    const below = (limit: number): number =>
      new DataView(dice(4).buffer).getUint32(0) % limit
    for (const { id } of this.#disks) {
      for (let n = 0; n < count; n++) {
        const isTrim = trims && n % 3 === 2
        const unit = isTrim ? BIT_BYTES : 512
        const length = unit * (1 + below(isTrim ? 24 : 1024))
        const offset = unit * below(Math.floor((DISK_BYTES - length) / unit) + 1)
        if (isTrim) await this.discard(id, offset, length)
        else await this.write(id, 1 + below(255), offset, length)
      }
    }
  }

  /** Bytes of the chunks written to since the last call, of the captured disks. */
  takeTouchedBytes(sizeBytes = DISK_BYTES): number {
    let bytes = 0
    for (const chunks of this.#touched.values()) {
      for (const at of chunks) bytes += Math.min(DEFAULT_CHUNK_BYTES, sizeBytes - at)
    }
    this.#touched.clear()
    return bytes
  }

  /** Copies every disk as another program sees it, `FOLDER/<id>.copy`; write nothing meanwhile. */
  async copyDisks(folder: string): Promise<void> {
    for (const disk of this.#disks) {
      await runProgram('qemu-img', ['convert', '-U', '-f', disk.format ?? 'qcow2', '-O', 'raw',
        this.#path(disk), join(folder, `${disk.id}.copy`)], { signal: this.#signal })
    }
  }

  async backup(
    t: TestContext, repositoryPath: string, wishes: BareBackup = {}): Promise<BackupSummary> {
    return withRepository(repositoryPath, t, (repository) => this.backupInto(t, repository, wishes))
  }

  async backupInto(
    t: TestContext, repository: Repository, wishes: BareBackup = {}): Promise<BackupSummary> {
    await using platform = await openQemuPlatform(
      { qmp: this.qmpSocket, runDir: join(this.folder, 'run') },
      { clock, random, log: silentLog }, t.signal)
    const { atInstant } = wishes
    return await runBackup({
      repository, machine: 'bare',
      platform: atInstant === undefined ? platform : afterCommit(platform, atInstant),
      settings: wishes.settings ?? { require: 'crash', onWeaker: undefined },
      full: wishes.full ?? false, exclude: wishes.exclude ?? [],
      openApplications: async () => ({ missing: 'there is no channel' }),
      declaredNoApplications: false,
      limits: LIMITS, write: {}, programVersion: 'test', signer: testSigner(), pins: NO_PINS,
      clock, random, log: silentLog,
      onEvent: wishes.onEvent ?? (() => {}),
    }, t.signal)
  }

  /** All that is said to be unchanged is compared. */
  async audit(t: TestContext, repositoryPath: string): Promise<TrackingAudit> {
    await using platform = await openQemuPlatform(
      { qmp: this.qmpSocket, runDir: join(this.folder, 'run') },
      { clock, random, log: silentLog }, t.signal)
    return await withRepository(repositoryPath, t, (repository) => auditTracking({
      repository, platform, machine: 'bare', exclude: [], limits: LIMITS, programVersion: 'test',
      signer: testSigner(), pins: NO_PINS, random, clock, share: 1, onProgress: () => {},
    }, t.signal))
  }

  /** `DISK POINT` for each bitmap of the repository, and `DISK other` for others, in order. */
  async bitmaps(repositoryId: string): Promise<readonly string[]> {
    const nodes = await this.qemu.client.execute(
      'query-named-block-nodes', { flat: true }, this.#signal) as readonly {
      readonly 'node-name': string
      readonly 'dirty-bitmaps'?: readonly { readonly name: string; readonly recording: boolean }[]
    }[]
    return nodes.flatMap((node) => (node['dirty-bitmaps'] ?? []).map(({ name, recording }) => {
      const [, repository, point] = name.split(':')
      const disk = node['node-name'].slice('n-'.length)
      return `${disk} ${repository === repositoryId ? point : 'other'}${recording ? '' : ' still'}`
    })).toSorted()
  }

  /** The name of the bitmap of a disk, the only one that it has. */
  async bitmapName(diskId: string): Promise<string> {
    const nodes = await this.qemu.client.execute(
      'query-named-block-nodes', { flat: true }, this.#signal) as readonly {
      readonly 'node-name': string
      readonly 'dirty-bitmaps'?: readonly { readonly name: string }[]
    }[]
    const found = nodes.find((node) => node['node-name'] === `n-${diskId}`)?.['dirty-bitmaps'] ?? []
    assert.equal(found.length, 1)
    return found[0]?.name ?? ''
  }
}

/** Why each disk was read as it was: `DISK POINT` or `DISK REASON`, in order. */
export function basesOf({ evidence }: Pick<BackupSummary, 'evidence'>): readonly string[] {
  assert.ok(evidence.reading.state === 'finished')
  const said = (base: DiskBase): string => 'since' in base ? base.since : base.full
  return evidence.reading.disks.map(({ diskId, base }) => `${diskId} ${said(base)}`).toSorted()
}

/** Restores every disk of a point and holds it against the copies in `folder`. */
export async function assertRestores(
  t: TestContext, repositoryPath: string, pointId: string, folder: string): Promise<void> {
  const where = await testFolder(t)
  await withRepository(repositoryPath, t, async (repository) => {
    const points = await readRestorePoints(repository, t.signal)
    const point = points.find((point): point is RestorePoint =>
      point.state === 'readable' && point.pointId === pointId)
    assert.ok(point !== undefined)
    await restoreDisks({ repository, point, folder: where, format: 'raw' }, () => {}, clock,
      t.signal)
    for (const { id } of point.disks) {
      await assertSame(t, join(where, `${id}.raw`), join(folder, `${id}.copy`))
    }
  })
  await rm(where, { recursive: true })
}

export async function assertSame(t: TestContext, one: string, other: string): Promise<void> {
  const { code, stdout } = await runProgram('cmp', [one, other], {
    signal: t.signal, okCodes: [0, 1] })
  assert.equal(code, 0, Buffer.from(stdout).toString())
}
