/** Damaged disks, a thousand of each; `test/long` has more. */

import { test } from 'node:test'
import { missingProgram } from '../../src/disk/testing/mod.ts'
import { damageAndProbe } from './damage.ts'
import { makeSubjects, SUBJECT_TOOLS } from './probe-subjects.ts'

const SEEDS = 1000
const skip = missingProgram(...SUBJECT_TOOLS)

test('damage to what a probe reads is a finding, and never more', { skip }, async (t) => {
  for (const subject of await makeSubjects()) {
    await t.test(subject.name, (t) => damageAndProbe(subject, SEEDS, t))
  }
})
