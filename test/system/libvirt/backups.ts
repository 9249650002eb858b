/** Backups of a machine of libvirt, and what they are held against. */

import { createReadStream } from 'node:fs'
import { mkdir, rm } from 'node:fs/promises'
import { createHash } from 'node:crypto'
import { pipeline } from 'node:stream/promises'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { runBackup, type BackupSummary } from '../../../src/backup/mod.ts'
import { systemClock as clock } from '../../../src/base/clock.ts'
import { silentLog } from '../../../src/base/log.ts'
import { systemRandom as random } from '../../../src/base/random.ts'
import { runProgram } from '../../../src/base/program.ts'
import { findPoint, NO_PINS, readRestorePoints, type Platform } from '../../../src/catalog/mod.ts'
import { connectHookHost } from '../../../src/channel/mod.ts'
import { testSigner } from '../../../src/consistency/testing/mod.ts'
import type { LibvirtOptions } from '../../../src/providers/mod.ts'
import { restoreDisks, type RestoredMachine } from '../../../src/recovery/mod.ts'
import { afterCommit, withRepository } from '../rig.ts'
import type { Libvirt } from './rig.ts'

export const DISKS = ['vda', 'vdb'] as const

export interface DomainBackup {
  readonly libvirt: Libvirt
  /** Of any of its machines. */
  readonly guest: { readonly name: string }
  readonly repositoryPath: string
  readonly options?: Partial<LibvirtOptions>
  readonly exclude?: readonly string[]
  /** The applications are asked through qemu-ga and its freeze hooks; else not at all. */
  readonly byHooks?: boolean
  readonly wrap?: (platform: Platform) => Platform
}

export function backupDomain(t: TestContext, wishes: DomainBackup): Promise<BackupSummary> {
  const { libvirt, guest } = wishes
  return withRepository(wishes.repositoryPath, t, async (repository) => {
    await using platform = await libvirt.open(wishes.options)
    return await runBackup({
      repository, platform: wishes.wrap?.(platform) ?? platform, machine: guest.name,
      settings: { require: undefined, onWeaker: undefined }, full: false,
      exclude: wishes.exclude ?? [],
      openApplications: async (signal, inside) => wishes.byHooks === true && inside !== undefined
        ? connectHookHost({ ...inside, tool: 'qemu-ga', clock }, signal)
        : { missing: 'no channel' },
      declaredNoApplications: false,
      limits: { freezeMs: 20_000, holdMs: 10_000, thawMs: 20_000 },
      write: {}, programVersion: 'test', signer: testSigner(), pins: NO_PINS,
      clock, random, log: silentLog, onEvent: () => {},
    }, t.signal)
  })
}

/**
 * A backup, and the digests of its disks as `qemu-img` read them past libvirt while the guest was
 * still frozen.
 */
export async function backupBesideCopy(
  t: TestContext, wishes: DomainBackup,
): Promise<{ readonly summary: BackupSummary; readonly copies: readonly string[] }> {
  const { libvirt, guest } = wishes
  const copies: string[] = []
  const summary = await backupDomain(t, { ...wishes, wrap: (platform) =>
    afterCommit(platform, async () => {
      await libvirt.virsh('suspend', guest.name) // QEMU writes out what it has of its tables
      for (const disk of DISKS) copies.push(await copyOf(wishes, disk, t.signal))
      await libvirt.virsh('resume', guest.name)
    }) })
  return { summary, copies }
}

async function copyOf(
  { libvirt, guest }: DomainBackup, disk: string, signal: AbortSignal): Promise<string> {
  const list = await libvirt.virsh('domblklist', guest.name)
  const source = new RegExp(`^\\s*${disk}\\s+(\\S+)`, 'm').exec(list)?.[1] ?? ''
  const raw = join(libvirt.folder, `${disk}.copy`)
  await runProgram('qemu-img', ['convert', '-U', '-f', 'qcow2', '-O', 'raw', source, raw],
    { signal })
  const digest = await digestOf(raw)
  await rm(raw)
  return digest
}

/** Restores the point; the caller removes the folder. */
export async function restorePoint(
  t: TestContext, { libvirt, repositoryPath }: DomainBackup, pointId: string,
  format: 'raw' | 'qcow2',
): Promise<RestoredMachine> {
  const folder = join(libvirt.folder, `${pointId.slice(0, 8)}-${format}`)
  await mkdir(folder)
  t.after(() => rm(folder, { recursive: true, force: true }))
  return withRepository(repositoryPath, t, async (repository) => {
    const point = findPoint(await readRestorePoints(repository, t.signal), pointId)
    return restoreDisks({ repository, point, folder, format }, () => {}, clock, t.signal)
  })
}

export async function digestsOf({ disks }: RestoredMachine): Promise<readonly string[]> {
  const digests: string[] = []
  for (const { path } of disks) digests.push(await digestOf(path))
  return digests
}

export async function digestOf(path: string): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(path), hash)
  return hash.digest('hex')
}
