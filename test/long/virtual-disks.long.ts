/** A thousand patterns of writes, ten thousand damaged disks; STILLPOINT_SEEDS says how many. */

import { test } from 'node:test'
import fc from 'fast-check'
import { damageVirtualDisk, VIRTUAL_DISKS } from '../hostile/damage-virtual-disks.ts'
import { checkPattern, pattern, startLibvhdi } from '../interop/virtual-disks.ts'
import { testFolder } from '../system/rig.ts'

const SEEDS = Number(process.env['STILLPOINT_SEEDS'] ?? 10_000)
const PATTERNS = SEEDS / 10

test(`${PATTERNS} patterns of writes are read as QEMU and libvhdi read them`, async (t) => {
  const folder = await testFolder(t)
  await using libvhdi = startLibvhdi()
  await fc.assert(fc.asyncProperty(pattern, (it) => checkPattern(it, folder, 'disk', libvhdi)),
    { numRuns: PATTERNS })
})

for (const [name, make] of Object.entries(VIRTUAL_DISKS)) {
  test(`a ${name}, damaged ${SEEDS} times`, (t) => damageVirtualDisk(make(), SEEDS, t))
}
