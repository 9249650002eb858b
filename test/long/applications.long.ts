import assert from 'node:assert/strict'
import { test } from 'node:test'
import { applicationRound, crashRound } from '../system/application-rounds.ts'
import { newRepository, readyGuest } from '../system/rig.ts'

const ROUNDS = 10

test('ten backups of four databases under load: each restored, opened, and nothing lost',
  { timeout: 1_800_000 }, async (t) => {
    const guest = await readyGuest(t, { kind: 'full' })
    const repositoryPath = await newRepository(t)
    const crash = await crashRound(t, guest, repositoryPath)
    for (let round = 1; round <= ROUNDS; round++) {
      await t.test(`round ${round}`, async (t) => {
        const { redo } = await applicationRound(t, guest, repositoryPath)
        assert.ok((redo.postgresql ?? Infinity) < (crash.postgresql ?? 0))
      })
    }
  })
