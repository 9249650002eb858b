/** Damaged disks, a hundred thousand of each; STILLPOINT_SEEDS says how many instead. */

import { test } from 'node:test'
import { damageAndProbe } from '../hostile/damage.ts'
import { makeSubjects } from '../hostile/probe-subjects.ts'

const SEEDS = Number(process.env['STILLPOINT_SEEDS'] ?? 100_000)

for (const subject of await makeSubjects()) {
  test(`${subject.name}, damaged ${SEEDS} times`, (t) => damageAndProbe(subject, SEEDS, t))
}
