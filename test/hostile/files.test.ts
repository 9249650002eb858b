/** Damaged file systems, a hundred of each; `test/long` has more. */

import { test } from 'node:test'
import { missingProgram } from '../../src/disk/testing/mod.ts'
import { cannotMountNtfs } from '../interop/mounted-ntfs.ts'
import {
  btrfsWithFiles, damageAndRead, extWithFiles, ntfsWithFiles, xfsWithFiles,
} from './damage-files.ts'

const skip = missingProgram('mke2fs', 'debugfs', 'mkfs.xfs', 'mkfs.btrfs')

for (const [name, make] of [
  ['btrfs', btrfsWithFiles], ['ext4', extWithFiles], ['xfs', xfsWithFiles]] as const) {
  test(`damage to an ${name} whose files are read is a fault, and never more`, { skip },
    async (t) => damageAndRead(await make(t), 100, t))
}

test('damage to an NTFS whose files are read is a fault, and never more', { skip: cannotMountNtfs },
  async (t) => damageAndRead(await ntfsWithFiles(t), 300, t))
