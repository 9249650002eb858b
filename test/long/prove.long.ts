import { test } from 'node:test'
import { proveRounds } from '../system/prove-rounds.ts'

const ROUNDS = 20

test(`verdicts on ${ROUNDS} captures that were held, and on ${ROUNDS} that were not`,
  { timeout: 1_200_000 }, (t) => proveRounds(t, ROUNDS))
