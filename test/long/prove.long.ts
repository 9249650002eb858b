import { test } from 'node:test'
import { proveMuteRounds } from '../system/prove-mute-rounds.ts'
import { proveRounds } from '../system/prove-rounds.ts'

const ROUNDS = 20

test(`verdicts on ${ROUNDS} captures that were held, and on ${ROUNDS} that were not`,
  { timeout: 1_200_000 }, (t) => proveRounds(t, ROUNDS))

test(`verdicts on ${ROUNDS} captures of disks that cannot tell`,
  { timeout: 1_200_000 }, (t) => proveMuteRounds(t, ROUNDS))
