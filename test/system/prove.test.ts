/** Verdicts on real captures; `test/long` has twenty of each sort. */

import { test } from 'node:test'
import { missingProgram } from '../../src/disk/testing/mod.ts'
import { proveMuteRounds } from './prove-mute-rounds.ts'
import { proveRounds } from './prove-rounds.ts'

test('what was held is proven; what was not is refuted where it claims to have been',
  { timeout: 240_000 }, (t) => proveRounds(t, 3))

test('what cannot tell is not proven: no journal, encrypted, damaged',
  { timeout: 240_000, skip: missingProgram('cryptsetup') }, (t) => proveMuteRounds(t, 2))
