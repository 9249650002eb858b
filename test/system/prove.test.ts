/** Verdicts on real captures; `test/long` has twenty of each sort. */

import { test } from 'node:test'
import { proveRounds } from './prove-rounds.ts'

test('what was held is proven; what was not is refuted where it claims to have been',
  { timeout: 240_000 }, (t) => proveRounds(t, 3))
