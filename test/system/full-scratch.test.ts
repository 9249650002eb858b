/** Scratch space that fills up in the middle of a backup, while its guest writes on. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtemp, readdir, rm, statfs } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { deadline, systemClock as clock } from '../../src/base/clock.ts'
import type { RunningGuest } from '../../src/demo/mod.ts'
import { leftOvers } from './left-overs.ts'
import { backup, changeCommitted, newRepository, pointsOf, readyGuest } from './rig.ts'

const LIMITS = { timeout: 240_000 }
const MIB = 1024 * 1024

/** A small file system in memory, gone when the test is over; undefined if none can be mounted. */
async function smallFolder(t: TestContext, sizeBytes: number): Promise<string | undefined> {
  const folder = await mkdtemp(join(tmpdir(), 'sp-scratch-'))
  t.after(async () => {
    spawnSync('umount', [folder])
    await rm(folder, { recursive: true, force: true })
  })
  const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${sizeBytes}`, 'tmpfs', folder])
  return status === 0 ? folder : undefined
}

interface Space {
  readonly used: number
  readonly free: number
}

async function spaceOf(folder: string): Promise<Space> {
  const { blocks, bavail, bsize } = await statfs(folder)
  return { used: (blocks - bavail) * bsize, free: bavail * bsize }
}

/** Waits until the load has filled the folder, or what filled it has been given up. */
async function untilOver(folder: string, signal: AbortSignal): Promise<void> {
  using limit = deadline(clock, 90_000, 'filling the scratch', signal)
  for (let most = 0; ;) {
    const { used, free } = await spaceOf(folder)
    if (free === 0 || used < most / 2) return
    most = Math.max(most, used)
    await clock.sleep(20, limit.signal)
  }
}

const rows = ({ witness }: RunningGuest): number => witness.lastAcknowledged('rows')?.id ?? 0

for (const { how, sizeBytes, leastScratchBytes } of [
  { how: 'QEMU cannot copy any more', sizeBytes: MIB, leastScratchBytes: 0 },
  { how: 'it is given up before', sizeBytes: 2 * MIB, leastScratchBytes: 1.9 * MIB },
]) {
  test(`scratch fills up, ${how}: one clear fault, nothing stored, and the load goes on`, LIMITS,
    async (t) => {
      const scratchDir = await smallFolder(t, sizeBytes)
      if (scratchDir === undefined) return t.skip('a small file system cannot be mounted')
      const guest = await readyGuest(t)
      const repositoryPath = await newRepository(t)
      let isFilled = false
      const failing = backup(t, {
        guest, repositoryPath, scratchDir, leastScratchBytes,
        wrap: (platform) => changeCommitted(platform, (committed) => Promise.resolve({
          ...committed,
          open: async (diskId, signal) => {
            if (!isFilled) await untilOver(scratchDir, t.signal)
            isFilled = true
            return committed.open(diskId, signal)
          },
        })),
      })
      await assert.rejects(failing, (error: Error & { code?: string; advice?: string }) => {
        t.diagnostic(`${error.message} (${error.code}): ${error.advice}`)
        return error.code === 'scratch-full' && /Free space there/.test(error.advice ?? '')
      })
      assert.ok(isFilled)
      assert.deepEqual(await pointsOf(repositoryPath, t), [])
      assert.deepEqual(await leftOvers(guest, t.signal), [])
      assert.deepEqual(await readdir(scratchDir), [])
      const then = rows(guest)
      await guest.witness.until('rows', () => rows(guest) > then + 20, t.signal)
      const next = await backup(t, { guest, repositoryPath })
      assert.equal(next.result.grade, 'filesystem')
    })
}
