/** A guest with four databases to which its freeze hooks alone lead: what can become of a hold. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { join } from 'node:path'
import { systemClock as clock } from '../../src/base/clock.ts'
import { runProgram } from '../../src/base/program.ts'
import { readRestorePoints, type RestorePoint } from '../../src/catalog/mod.ts'
import { parseToken } from '../../src/channel/mod.ts'
import { restoreDisks } from '../../src/recovery/mod.ts'
import {
  HOOK_FAULTS, hookRound, showHookFault, showHooksIgnored, showStatus, showThawThatNeverComes,
  turnHooksOn,
} from '../system/hook-rounds.ts'
import { newRepository, readyGuest, testFolder, withRepository } from '../system/rig.ts'

test('four databases held by the freeze hooks of qemu-ga', { timeout: 900_000 }, async (t) => {
  const guest = await readyGuest(t, { kind: 'full' })
  const repositoryPath = await newRepository(t)
  const subject = { guest, repositoryPath }
  await t.test('hooks that are not run: the reason and the cure',
    (t) => showHooksIgnored(t, subject))
  await t.test('hooks are installed and turned on', (t) => turnHooksOn(t, subject))
  await t.test('its status says so', (t) => showStatus(t, subject))
  await t.test('all four are held, and the token of this very freeze is in the image',
    async (t) => {
      const { pointId } = (await hookRound(t, subject)).evidence
      const folder = join(await testFolder(t), 'disks')
      await withRepository(repositoryPath, t, async (repository) => {
        const point = (await readRestorePoints(repository, t.signal))
          .find((it): it is RestorePoint => it.state === 'readable' && it.pointId === pointId)
        assert.ok(point !== undefined)
        await restoreDisks({ repository, point, folder, format: 'raw', disks: ['virtio-root'] },
          () => {}, clock, t.signal)
      })
      const { stdout } = await runProgram('debugfs',
        ['-R', 'cat /var/lib/stillpoint/token.json', join(folder, 'virtio-root.raw')],
        { signal: t.signal })
      const token = parseToken(stdout)
      assert.deepEqual([token.nonce, token.state], [pointId.replaceAll('-', ''), 'frozen'])
      assert.equal(token.applications.size, 4)
    })
  await t.test('a thaw that never comes', (t) => showThawThatNeverComes(t, subject))
  for (const fault of HOOK_FAULTS) await t.test(fault.what, (t) => showHookFault(t, subject, fault))
})
