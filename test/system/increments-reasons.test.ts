/** What makes a disk be read in full, each on a real QEMU; and what does not. */

import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { Fault } from '../../src/base/fault.ts'
import { runProgram } from '../../src/base/program.ts'
import type { FullReason } from '../../src/consistency/mod.ts'
import { faultyStorage } from '../../src/storage/testing/mod.ts'
import { openLocalStorage, type FileKind, type Storage } from '../../src/storage/mod.ts'
import {
  assertRestores, BareMachine, basesOf, DISK_BYTES, type BareBackup, type BareDisk,
} from './bare-machine.ts'
import { restic } from './restic.ts'
import { newRepository, pointsOf, testFolder, withRepository, withStorage } from './rig.ts'

const LIMITS = { timeout: 120_000 }
const MIB = 1024 * 1024
const TWO: readonly BareDisk[] = [{ id: 'vda' }, { id: 'vdb' }]

/** A machine with a repository, and backups that are restored at once. */
class Scene {
  readonly machine: BareMachine
  readonly repositoryPath: string
  readonly #t: TestContext
  readonly #copies: string
  #seed = 1

  private constructor(
    t: TestContext, machine: BareMachine, repositoryPath: string, copies: string) {
    this.#t = t
    this.machine = machine
    this.repositoryPath = repositoryPath
    this.#copies = copies
  }

  static async make(t: TestContext, disks: readonly BareDisk[] = [{ id: 'vda' }]): Promise<Scene> {
    return new Scene(t, await BareMachine.start(t, disks), await newRepository(t),
      await testFolder(t))
  }

  disturb(): Promise<void> {
    return this.machine.disturb(this.#seed++, 3)
  }

  /** Writes, backs up and holds the restored disks against the machine's; the point's UUID. */
  async backup(wishes: BareBackup & { readonly into?: string } = {}): Promise<{
    readonly pointId: string; readonly bases: readonly string[] }> {
    await this.disturb()
    const repositoryPath = wishes.into ?? this.repositoryPath
    const { pointId, ...summary } = await this.machine.backup(this.#t, repositoryPath, {
      ...wishes, atInstant: async () => {
        await this.machine.copyDisks(this.#copies)
        await this.disturb()
      } })
    await assertRestores(this.#t, repositoryPath, pointId, this.#copies)
    return { pointId, bases: basesOf(summary) }
  }

  /** The next backup is in full for this reason, and leaves a bitmap to go on from. */
  async expectFull(reason: FullReason): Promise<void> {
    const { pointId, bases } = await this.backup()
    assert.deepEqual(bases, [`vda ${reason}`])
    assert.deepEqual(await this.bitmaps(), [`vda ${pointId}`])
  }

  async bitmaps(repositoryPath = this.repositoryPath): Promise<readonly string[]> {
    return this.machine.bitmaps(
      await withRepository(repositoryPath, this.#t, async ({ id }) => id))
  }

  async snapshotOf(pointId: string): Promise<string> {
    const points = await pointsOf(this.repositoryPath, this.#t)
    const point = points.find((point) => point.state === 'readable' && point.pointId === pointId)
    assert.ok(point !== undefined)
    return point.snapshotId
  }
}

test('a QEMU that ended in order keeps its bitmaps: still incremental', LIMITS, async (t) => {
  const scene = await Scene.make(t, TWO)
  const { pointId } = await scene.backup()
  await scene.disturb()
  await scene.machine.shutDown()
  await scene.machine.start()
  assert.deepEqual((await scene.backup()).bases, [`vda ${pointId}`, `vdb ${pointId}`])
})

test('what qemu-io writes while QEMU is off is known: still incremental', LIMITS, async (t) => {
  const scene = await Scene.make(t)
  const { pointId } = await scene.backup()
  await scene.machine.shutDown()
  await runProgram('qemu-io',
    ['-f', 'qcow2', '-c', 'write -P 77 9M 1M', scene.machine.pathOf('vda')], { signal: t.signal })
  await scene.machine.start()
  assert.deepEqual((await scene.backup()).bases, [`vda ${pointId}`])
})

test('a QEMU that was killed has lost count: in full, once', LIMITS, async (t) => {
  const scene = await Scene.make(t)
  await scene.backup()
  await scene.machine.shutDown() // now the bitmap is in the image, to be marked inconsistent
  await scene.machine.start()
  await scene.disturb()
  await scene.machine.kill()
  await scene.machine.start()
  await scene.expectFull('bitmap-inconsistent')

  await t.test('also when the bitmap had never been saved', async () => {
    await scene.machine.kill()
    await scene.machine.start()
    await scene.expectFull('bitmap-gone')
  })
})

test('another image under the same device is read in full', LIMITS, async (t) => {
  const scene = await Scene.make(t)
  await scene.backup()
  await scene.machine.shutDown()
  const other = { id: 'vda', image: 'other' }
  await scene.machine.makeImage(other)
  await scene.machine.start([other])
  await scene.expectFull('bitmap-gone')
})

test('two images that change places are read in full', LIMITS, async (t) => {
  const scene = await Scene.make(t, TWO)
  await scene.backup()
  await scene.machine.shutDown()
  await scene.machine.start([{ id: 'vda', image: 'vdb' }, { id: 'vdb', image: 'vda' }])
  assert.deepEqual((await scene.backup()).bases, ['vda disk-replaced', 'vdb disk-replaced'])
})

test('a disk of another size is read in full', LIMITS, async (t) => {
  const scene = await Scene.make(t)
  await scene.backup()
  await scene.machine.qemu.client.execute(
    'block_resize', { 'node-name': 'n-vda', size: DISK_BYTES + MIB }, t.signal)
  await scene.expectFull('disk-resized')

  await t.test('also when it was resized while QEMU was off', async () => {
    await scene.machine.shutDown()
    await runProgram('qemu-img', ['resize', '-q', '-f', 'qcow2', scene.machine.pathOf('vda'),
      String(DISK_BYTES + 3 * MIB)], { signal: t.signal })
    await scene.machine.start()
    await scene.expectFull('disk-resized')
  })
})

test('a disk made shorter and long again lost more than its bitmap knows: a sample shows it',
  LIMITS, async (t) => {
    const scene = await Scene.make(t)
    const { machine } = scene
    await machine.write('vda', 1, 0, DISK_BYTES)
    await scene.backup()
    for (const size of [DISK_BYTES / 2 - 256, DISK_BYTES]) {
      await machine.qemu.client.execute('block_resize', { 'node-name': 'n-vda', size }, t.signal)
    }
    await scene.expectFull('audit-failed')
  })

test('an audit leaves the bitmaps as they are, and finds what they do not know', LIMITS,
  async (t) => {
    const scene = await Scene.make(t)
    const { machine, repositoryPath } = scene
    const id = await withRepository(repositoryPath, t, async (repository) => repository.id)
    await machine.write('vda', 1, 0, DISK_BYTES)
    await machine.backup(t, repositoryPath)
    await machine.write('vda', 2, 3 * MIB, 4096)
    const before = await machine.bitmaps(id)
    const [fine] = (await machine.audit(t, repositoryPath)).disks
    assert.ok(fine !== undefined && 'since' in fine)
    assert.deepEqual([fine.compared, fine.differing, fine.changedBytes], [34, 0, 65_536])
    assert.deepEqual(await machine.bitmaps(id), before)
    await machine.backup(t, repositoryPath)
    for (const size of [DISK_BYTES - 4096, DISK_BYTES]) {
      await machine.qemu.client.execute('block_resize', { 'node-name': 'n-vda', size }, t.signal)
    }
    const { verdicts } = await machine.audit(t, repositoryPath)
    assert.deepEqual(verdicts.map(({ verdict }) => [verdict.verdict, verdict.effective]),
      [['refuted', 'torn']])
    await scene.expectFull('audit-failed')
    assert.deepEqual(await machine.qemu.leavings(), [])
  })

test('QEMU goes back to no internal snapshot while an image has bitmaps', LIMITS, async (t) => {
  const scene = await Scene.make(t)
  await scene.backup()
  await scene.machine.shutDown()
  const path = scene.machine.pathOf('vda')
  const img = (...args: readonly string[]): Promise<unknown> =>
    runProgram('qemu-img', args, { signal: t.signal })
  await img('snapshot', '-c', 'then', path)
  await assert.rejects(img('snapshot', '-a', 'then', path))
  // What docs/change-tracking.md advises.
  await scene.machine.start()
  const name = await scene.machine.bitmapName('vda')
  await scene.machine.shutDown()
  await img('bitmap', '--remove', path, name)
  await img('snapshot', '-a', 'then', path)
  await scene.machine.start()
  await scene.expectFull('bitmap-gone')
})

test('a base that restic has forgotten is none', LIMITS, async (t) => {
  const scene = await Scene.make(t)
  const first = await scene.backup()
  const second = await scene.backup()
  assert.deepEqual(second.bases, [`vda ${first.pointId}`])
  // An older point is of no matter, although the newer one was made with it.
  await restic(t, scene.repositoryPath, 'forget', '--prune', await scene.snapshotOf(first.pointId))
  const third = await scene.backup()
  assert.deepEqual(third.bases, [`vda ${second.pointId}`])
  await restic(t, scene.repositoryPath, 'forget', '--prune', await scene.snapshotOf(third.pointId))
  await scene.expectFull('base-gone')
})

test('two repositories of one machine do not disturb one another', LIMITS, async (t) => {
  const scene = await Scene.make(t, TWO)
  const other = await newRepository(t)
  let mine = await scene.backup()
  let theirs = await scene.backup({ into: other })
  assert.deepEqual(theirs.bases, ['vda other-repository', 'vdb other-repository'])
  for (const into of [scene.repositoryPath, other, other, scene.repositoryPath]) {
    const isMine = into === scene.repositoryPath
    const { pointId } = isMine ? mine : theirs
    const next = await scene.backup({ into })
    assert.deepEqual(next.bases, [`vda ${pointId}`, `vdb ${pointId}`])
    if (isMine) mine = next
    else theirs = next
  }
  assert.deepEqual(await scene.bitmaps(),
    [`vda ${mine.pointId}`, 'vda other', `vdb ${mine.pointId}`, 'vdb other'])
})

test('a bitmap that somebody removed is gone', LIMITS, async (t) => {
  const scene = await Scene.make(t)
  await scene.backup()
  await scene.machine.qemu.client.execute('block-dirty-bitmap-remove',
    { node: 'n-vda', name: await scene.machine.bitmapName('vda') }, t.signal)
  await scene.expectFull('bitmap-gone')
})

test('a raw disk is tracked while its QEMU lives', LIMITS, async (t) => {
  const scene = await Scene.make(t, [{ id: 'vda', format: 'raw' }])
  const first = await scene.backup()
  const second = await scene.backup()
  assert.deepEqual(second.bases, [`vda ${first.pointId}`])
  await scene.machine.shutDown()
  await scene.machine.start()
  await scene.expectFull('bitmap-gone')
})

test('disks that come and go, or are left out, are each as they were', LIMITS, async (t) => {
  const scene = await Scene.make(t)
  const { machine } = scene
  const first = await scene.backup()
  await machine.shutDown()
  await machine.makeImage({ id: 'vdb' })
  await machine.start(TWO)
  const second = await scene.backup()
  assert.deepEqual(second.bases, [`vda ${first.pointId}`, 'vdb first-backup'])
  await machine.shutDown()
  await machine.start([{ id: 'vdb' }])
  const third = await scene.backup()
  assert.deepEqual(third.bases, [`vdb ${second.pointId}`])
  await machine.shutDown()
  await machine.start(TWO)
  const fourth = await scene.backup({ exclude: ['vdb'] })
  assert.deepEqual(fourth.bases, [`vda ${second.pointId}`])
  assert.deepEqual((await scene.backup()).bases, [`vda ${fourth.pointId}`, `vdb ${third.pointId}`])
})

test('a run that fails behind the instant costs nothing: the next is incremental and whole',
  LIMITS, async (t) => {
    const scene = await Scene.make(t)
    const { pointId } = await scene.backup()
    const bitmaps = await scene.bitmaps()
    // What the policy refuses is given up behind the instant too, and before anything is read.
    const refused = await scene.machine.backup(t, scene.repositoryPath,
      { settings: { require: 'filesystem', onWeaker: 'fail' } })
    assert.deepEqual(refused.stored, { not: 'weaker-than-required' })
    assert.deepEqual(await scene.bitmaps(), bitmaps)
    for (const kind of ['data', 'index', 'snapshots'] as const) {
      await scene.disturb()
      const storage = failingPuts(openLocalStorage(scene.repositoryPath), kind)
      await assert.rejects(withStorage(storage, t, (repository) =>
        scene.machine.backupInto(t, repository, { atInstant: () => scene.disturb() })),
      { code: 'storage-failed' })
      assert.deepEqual(await scene.bitmaps(), bitmaps)
    }
    assert.deepEqual((await scene.backup()).bases, [`vda ${pointId}`])
    assert.deepEqual((await scene.backup({ full: true })).bases, ['vda asked-for'])
    assert.deepEqual(await scene.machine.qemu.leavings(), [])
  })

/** A store that takes everything but files of one kind. */
function failingPuts(inner: Storage, kind: FileKind): Storage {
  const sound = faultyStorage(inner, { seed: 1 })
  return {
    ...sound,
    put: async (file, parts, signal) => {
      if (file.kind === kind) throw new Fault('storage-failed', `no ${kind} on purpose`)
      await sound.put(file, parts, signal)
    },
  }
}
