/** Captures, held and under load, of disks that cannot tell or are damaged: nothing is proven. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { systemClock as clock } from '../../src/base/clock.ts'
import type { RestorePoint } from '../../src/catalog/mod.ts'
import {
  checkFileSystems, probeSet, verdictOf, type Verdict,
} from '../../src/consistency/mod.ts'
import type { BlockSource } from '../../src/disk/mod.ts'
import { provePoint } from '../../src/recovery/mod.ts'
import { openDiskImage, type Repository } from '../../src/repository/mod.ts'
import { run } from '../interop/lvm-programs.ts'
import { blankImage, luksImage } from './luks-image.ts'
import { backup, newRepository, pointsOf, readyGuest, testFolder, withRepository } from './rig.ts'

/**
 * `rounds` captures of three disks: ext4, ext4 without a journal, and LUKS with ext4 inside. The
 * first confirms, the others cannot tell, and once the first one's superblock is damaged, it
 * cannot either.
 */
export async function proveMuteRounds(t: TestContext, rounds: number): Promise<void> {
  const folder = await testFolder(t)
  const plain = await blankImage(join(folder, 'plain'), 64)
  await run('mkfs.ext4', '-q', '-F', '-O', '^has_journal', plain)
  const guest = await readyGuest(t, { layout: 'luks', disks: [
    { id: 'disk0' }, { id: 'disk1', format: 'raw', path: plain },
    { id: 'extra', format: 'raw', path: await luksImage(folder) },
  ] })
  const repositoryPath = await newRepository(t)
  for (let round = 0; round < rounds; round++) {
    const { result } = await backup(t, { guest, repositoryPath })
    assert.equal(result.grade, 'filesystem', JSON.stringify(result))
  }
  const points = (await pointsOf(repositoryPath, t)).filter((it) => it.state === 'readable')
  assert.equal(points.length, rounds)
  await withRepository(repositoryPath, t, async (repository) => {
    await using lock = await repository.lock('shared', t.signal)
    await repository.loadIndex(lock.lost)
    for (const point of points) await judge(repository, point, t.signal)
  })
}

async function judge(
  repository: Repository, point: RestorePoint, signal: AbortSignal): Promise<void> {
  const { verdict } = await provePoint(repository,
    { point, image: true, logs: false, next: undefined }, clock, signal)
  assert.deepEqual([verdict.verdict, verdict.effective], ['not-proven', 'filesystem'])
  assert.deepEqual(answersOf(verdict), [
    'confirms /disks/disk0: needs_recovery is not set', 'silent /disks/disk1: no journal',
    'silent /disks/extra: it cannot be told which volume on the disks it is',
    'silent disk: LUKS 2, encrypted'])
  const damaged = await proveDamaged(repository, point, signal)
  assert.deepEqual([damaged.verdict, damaged.effective], ['not-proven', 'filesystem'])
  assert.equal(answersOf(damaged)[0],
    'silent /disks/disk0: the superblock\'s checksum is wrong')
}

function answersOf({ checks }: Verdict): readonly string[] {
  return checks.map(({ answer, claim, detail }) =>
    `${answer} ${claim.subject.split(' ')[0]}: ${detail.split(': ').at(-1)}`).toSorted()
}

/** As `provePoint` does, of the same disks with a bit of each superblock turned over. */
async function proveDamaged(
  repository: Repository, point: RestorePoint, signal: AbortSignal): Promise<Verdict> {
  await using stack = new AsyncDisposableStack()
  const disks = point.disks.map((disk) => ({
    id: disk.id,
    source: damaged(stack.use(openDiskImage(repository, disk.treeId, disk))),
  }))
  return verdictOf(
    point.result, checkFileSystems(point.evidence, await probeSet(disks, signal)))
}

/** Where the count of writes lies in a superblock of ext4 (s_kbytes_written). */
const DAMAGE_AT = 1024 + 0x178

function damaged(source: BlockSource): BlockSource {
  return {
    name: source.name, sizeBytes: source.sizeBytes,
    read: async (offset, length, signal) => {
      const bytes = Uint8Array.from(await source.read(offset, length, signal))
      const at = DAMAGE_AT - offset
      if (at >= 0 && at < length) bytes[at] = (bytes[at] ?? 0) ^ 1
      return bytes
    },
    [Symbol.asyncDispose]: () => source[Symbol.asyncDispose](),
  }
}
