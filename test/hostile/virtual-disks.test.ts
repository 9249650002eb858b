/** Damaged virtual disks, two hundred of each; `test/long` has more. */

import { test } from 'node:test'
import { damageVirtualDisk, VIRTUAL_DISKS } from './damage-virtual-disks.ts'

for (const [name, make] of Object.entries(VIRTUAL_DISKS)) {
  test(`damage to a ${name} with a parent is a fault, and never more`,
    (t) => damageVirtualDisk(make(), 200, t))
}
