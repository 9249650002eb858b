/** Damaged databases and file systems; STILLPOINT_SEEDS says how many of each instead. */

import { test } from 'node:test'
import { damageAndCheck } from '../hostile/damage-databases.ts'
import {
  btrfsWithFiles, damageAndRead, extWithFiles, xfsWithFiles,
} from '../hostile/damage-files.ts'
import { DATABASE_SUBJECTS } from '../hostile/database-subjects.ts'

const SEEDS = Number(process.env['STILLPOINT_SEEDS'] ?? 2000)

for (const [name, subject] of Object.entries(DATABASE_SUBJECTS)) {
  test(`${name}, damaged ${SEEDS} times`, async (t) => damageAndCheck(await subject(t), SEEDS, t))
}

for (const [name, make] of [
  ['btrfs', btrfsWithFiles], ['ext4', extWithFiles], ['xfs', xfsWithFiles]] as const) {
  test(`files of ${name}, damaged ${5 * SEEDS} times`, async (t) =>
    damageAndRead(await make(t), 5 * SEEDS, t))
}
