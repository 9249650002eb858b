/** The probe on file systems that are frozen, in use and unmounted, beside the field's tools. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openRawSource, probeDisk, type ProbedVolume } from '../../src/disk/mod.ts'
import { missingProgram } from '../../src/disk/testing/mod.ts'
import { askTool, MountedImage } from './mounted-image.ts'

const signal = new AbortController().signal
const ROUNDS = 4
const skip = process.getuid?.() === 0
  ? missingProgram('mkfs.ext4', 'mkfs.xfs', 'mkfs.btrfs', 'fsfreeze', 'xfs_logprint', 'dumpe2fs')
  : 'only root can mount images'

async function volumeOf(path: string): Promise<ProbedVolume> {
  await using source = await openRawSource(path, signal)
  const { volumes } = await probeDisk(source, signal)
  return volumes[0] ?? assert.fail()
}

test('a frozen XFS would replay its superblock alone, one in use more', { skip }, async () => {
  await using image = await MountedImage.create('xfs', ['-q'])
  await image.startLoad()
  for (let round = 0; round < ROUNDS; round++) {
    assert.equal((await volumeOf(await image.copy('busy'))).activity, 'active')
    const frozen = await image.frozenCopy('frozen')
    const { activity, detail } = await volumeOf(frozen)
    assert.equal(activity, 'frozen', detail)
    const said = await askTool(frozen, 'xfs_logprint', '-t')
    const [, tail, head] = /log tail: (\d+) head: (\d+) state: <DIRTY>/.exec(said) ?? []
    const blocks = Number(head) - Number(tail)
    assert.equal(/\((\d+) blocks\)/.exec(detail)?.[1], String(blocks < 0 ? NaN : blocks), said)
  }
  await image.unmount()
  const { activity, detail } = await volumeOf(image.path)
  assert.deepEqual([activity, detail], ['clean', 'the log ends with an unmount'])
  assert.match(await askTool(image.path, 'xfs_logprint', '-t'), /state: <CLEAN>/)
})

test('the log of an XFS with the features of newer tools is read too', { skip }, async () => {
  await using image = await MountedImage.create('xfs', ['-q', '-i', 'nrext64=1'])
  await image.startLoad()
  assert.equal((await volumeOf(await image.copy('busy'))).activity, 'active')
  assert.equal((await volumeOf(await image.frozenCopy('frozen'))).activity, 'frozen')
  await image.unmount()
  assert.equal((await volumeOf(image.path)).activity, 'clean')
})

test('a frozen ext4 needs no recovery, one in use does', { skip }, async () => {
  await using image = await MountedImage.create('ext4', ['-q', '-F'])
  await image.startLoad()
  for (let round = 0; round < ROUNDS; round++) {
    for (const [isFrozen, path] of [
      [false, await image.copy('busy')], [true, await image.frozenCopy('frozen')],
    ] as const) {
      assert.equal((await volumeOf(path)).activity, isFrozen ? 'clean' : 'active')
      assert.equal(
        (await askTool(path, 'dumpe2fs', '-h')).includes('needs_recovery'), !isFrozen)
    }
  }
  await image.unmount()
  assert.equal((await volumeOf(image.path)).activity, 'clean')
})

test('a frozen btrfs has no log tree, which says nothing; one in use may have', { skip },
  async () => {
    await using image = await MountedImage.create('btrfs', ['-q'])
    await image.startLoad()
    const seen = new Set<string>()
    for (let round = 0; round < ROUNDS; round++) {
      const busy = await image.copy('busy')
      const said = await askTool(busy, 'btrfs', 'inspect-internal', 'dump-super')
      const { activity } = await volumeOf(busy)
      seen.add(activity)
      assert.equal(activity === 'unknown', /^log_root\s+0$/m.test(said), said)
      assert.equal((await volumeOf(await image.frozenCopy('frozen'))).activity, 'unknown')
    }
    assert.ok(seen.has('active'))
  })
