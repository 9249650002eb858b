/** Damaged databases, two thousand of each; STILLPOINT_SEEDS says how many instead. */

import { test } from 'node:test'
import { damageAndCheck } from '../hostile/damage-databases.ts'
import { DATABASE_SUBJECTS } from '../hostile/database-subjects.ts'

const SEEDS = Number(process.env['STILLPOINT_SEEDS'] ?? 2000)

for (const [name, subject] of Object.entries(DATABASE_SUBJECTS)) {
  test(`${name}, damaged ${SEEDS} times`, async (t) => damageAndCheck(await subject(t), SEEDS, t))
}
