/** Damaged databases in a disk, sixty of each that starts quickly; `test/long` has all and more. */

import { test } from 'node:test'
import { damageAndCheck } from './damage-databases.ts'
import { DATABASE_SUBJECTS } from './database-subjects.ts'

for (const name of ['redis', 'sqlite'] as const) {
  test(`damage to what is read of ${name} is an answer, and never more`, async (t) =>
    damageAndCheck(await DATABASE_SUBJECTS[name](t), 60, t))
}
