/** For system tests: a real guest, a real repository, and backups of the one into the other. */

import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import {
  runBackup, type BackupEvent, type BackupRequest, type BackupSummary,
} from '../../src/backup/mod.ts'
import { systemClock as clock } from '../../src/base/clock.ts'
import { silentLog } from '../../src/base/log.ts'
import { systemRandom as random } from '../../src/base/random.ts'
import { Secret } from '../../src/base/secret.ts'
import {
  NO_PINS, readRestorePoints, type ListedPoint, type Platform,
} from '../../src/catalog/mod.ts'
import { connectHookHost } from '../../src/channel/mod.ts'
import type {
  ApplicationHost, CommittedSet, PreparedSet, RequestorHeldSet,
} from '../../src/consistency/mod.ts'
import { testSigner } from '../../src/consistency/testing/mod.ts'
import { startGuest, type GuestOptions, type RunningGuest } from '../../src/demo/mod.ts'
import { openQemuPlatform } from '../../src/providers/mod.ts'
import { initRepository, openRepository, type Repository } from '../../src/repository/mod.ts'
import { openLocalStorage, type Storage } from '../../src/storage/mod.ts'

export const PASSWORD = 'correct horse battery staple'
/** A guess costs little: tests open repositories often. */
const FAST_SCRYPT = { N: 1024, r: 8, p: 1 }

/** A folder with a short path (sockets lie in it) that is gone when the test is over. */
export async function testFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'sp-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

/** A tiny guest, ready and writing, in a folder of its own; killed when the test is over. */
export async function readyGuest(
  t: TestContext, options: Partial<GuestOptions> = {}): Promise<RunningGuest> {
  const folder = await testFolder(t)
  const guest = await startGuest({ kind: 'tiny', folder, ...options }, clock, t.signal)
  t.after(() => guest.kill())
  await guest.waitUntilReady(t.signal)
  return guest
}

export async function newRepository(t: TestContext): Promise<string> {
  const path = join(await testFolder(t), 'repo')
  await using storage = openLocalStorage(path)
  await initRepository(storage, {
    password: new Secret(PASSWORD), hostname: 'test', username: 'test', clock, random,
    scryptCost: FAST_SCRYPT,
  }, t.signal)
  return path
}

/** Opens the repository for `use` alone. */
export function withRepository<T>(
  path: string, t: TestContext, use: (repository: Repository) => Promise<T>): Promise<T> {
  return withStorage(openLocalStorage(path), t, use)
}

/** Opens the repository in `storage`, which it disposes, for `use` alone. */
export async function withStorage<T>(
  opened: Storage, t: TestContext, use: (repository: Repository) => Promise<T>): Promise<T> {
  await using storage = opened
  await using repository = await openRepository(storage, {
    password: new Secret(PASSWORD), hostname: 'test', clock, random, log: silentLog,
  }, t.signal)
  return await use(repository)
}

export function pointsOf(path: string, t: TestContext): Promise<readonly ListedPoint[]> {
  return withRepository(path, t, (repository) => readRestorePoints(repository, t.signal))
}

export interface BackupWishes {
  readonly guest: RunningGuest
  readonly repositoryPath: string
  readonly settings?: BackupRequest['settings']
  readonly limits?: BackupRequest['limits']
  readonly declaredNoApplications?: boolean
  readonly applications?: ApplicationHost
  /** The applications are asked through qemu-ga and its freeze hooks. */
  readonly byHooks?: boolean
  readonly exclude?: readonly string[]
  readonly full?: boolean
  readonly scratchDir?: string
  readonly leastScratchBytes?: number
  /** False: no agent channel is configured. */
  readonly agent?: boolean
  /** Changes the platform before it is used: for what a test wants to observe or disturb. */
  readonly wrap?: (platform: Platform) => Platform
  readonly onEvent?: (event: BackupEvent) => void
  readonly signal?: AbortSignal
}

const NO_CHANNEL = { missing: 'there is no channel' }
const LIMITS = { freezeMs: 20_000, holdMs: 10_000, thawMs: 20_000 }

/** Backs the guest up as the command line would. */
export async function backup(t: TestContext, wishes: BackupWishes): Promise<BackupSummary> {
  const { guest } = wishes
  const signal = wishes.signal ?? t.signal
  return withRepository(wishes.repositoryPath, t, async (repository) => {
    await using platform = await openQemuPlatform({
      qmp: guest.qmpSocket, guardianQmp: guest.secondQmpSocket, name: 'tiny',
      ...(guest.agentSocket === undefined || wishes.agent === false
        ? {} : { agent: guest.agentSocket }),
      ...(wishes.scratchDir === undefined ? {} : { scratchDir: wishes.scratchDir }),
      ...(wishes.leastScratchBytes === undefined
        ? {} : { leastScratchBytes: wishes.leastScratchBytes }),
    }, { clock, random, log: silentLog }, signal)
    return await runBackup({
      repository,
      platform: wishes.wrap?.(platform) ?? platform,
      machine: 'tiny',
      settings: wishes.settings ?? { require: undefined, onWeaker: undefined },
      full: wishes.full ?? false,
      exclude: wishes.exclude ?? [],
      openApplications: async (signal, inside) => wishes.byHooks === true && inside !== undefined
        ? connectHookHost({ ...inside, tool: 'qemu-ga', clock }, signal)
        : wishes.applications ?? NO_CHANNEL,
      declaredNoApplications: wishes.declaredNoApplications ?? false,
      limits: wishes.limits ?? LIMITS,
      write: {}, programVersion: 'test', signer: testSigner(), pins: NO_PINS,
      clock, random, log: silentLog,
      onEvent: wishes.onEvent ?? (() => {}),
    }, signal)
  })
}

/** A platform whose provider calls `after` behind each commit, while the guest is still held. */
export function afterCommit(platform: Platform, after: () => Promise<void>): Platform {
  return changeCommitted(platform, async (committed) => {
    await after()
    return committed
  })
}

/** A platform whose committed sets are what `change` makes of them, while the guest is held. */
export function changeCommitted(
  platform: Platform, change: (committed: CommittedSet) => Promise<CommittedSet>,
): Platform {
  const wrapSet = (set: PreparedSet): PreparedSet => {
    assert.ok(set.heldBy === 'requestor')
    return {
      ...pick(set),
      heldBy: 'requestor',
      freezer: set.freezer,
      commit: async (signal) => change(await set.commit(signal)),
    }
  }
  return {
    kind: platform.kind,
    machines: (signal) => platform.machines(signal),
    describe: (name, signal) => platform.describe(name, signal),
    provider: (name) => {
      const provider = platform.provider(name)
      return {
        name: provider.name,
        survey: (exclude, signal) => provider.survey(exclude, signal),
        prepare: async (request, signal) => wrapSet(await provider.prepare(request, signal)),
      }
    },
    [Symbol.asyncDispose]: () => platform[Symbol.asyncDispose](),
  }
}

/** A set's members as own properties, bound: a class's methods are not copied by a spread. */
function pick(set: PreparedSet): Omit<RequestorHeldSet, 'heldBy' | 'freezer' | 'commit'> {
  return {
    disks: set.disks,
    leftOut: set.leftOut,
    power: set.power,
    ...(set.tracking === undefined ? {} : { tracking: set.tracking }),
    recheck: (signal) => set.recheck(signal),
    powerNow: (signal) => set.powerNow(signal),
    [Symbol.asyncDispose]: () => set[Symbol.asyncDispose](),
  }
}
