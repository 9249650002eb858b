/** The writer of docs/writing-a-writer.md fulfils the contract, and catches a broken hold. */

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { mkdtemp, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { systemClock } from '../../base/clock.ts'
import { writerContract, type WriterBench } from '../../consistency/testing/mod.ts'
import { Ledger, ledgerWriter } from './ledger-writer.ts'

const never = new AbortController().signal

async function bench(): Promise<WriterBench & { readonly folder: string }> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'sp-')))
  await writeFile(join(folder, 'ledger.log'), '')
  const ledger = new Ledger(folder, systemClock)
  return {
    folder,
    writer: ledgerWriter({ clock: systemClock, folder, token: randomUUID }),
    isHeld: () => Promise.resolve(ledger.isHeld),
    [Symbol.asyncDispose]: async () => {
      await ledger[Symbol.asyncDispose]()
      await rm(folder, { recursive: true })
    },
  }
}

writerContract('the example', bench)

test('a ledger that is told to go on by somebody else has not held', async () => {
  await using it = await bench()
  const [application] = await it.writer.discover(never)
  assert.ok(application !== undefined)
  await using prepared = await it.writer.prepare(application, never)
  const attempt = prepared.beginFreeze()
  await attempt.held
  await rm(join(it.folder, 'hold'))
  while (await it.isHeld()) await systemClock.sleep(1, never)
  const outcome = await attempt.thaw()
  assert.ok(outcome.state === 'thawed' && !outcome.heldThroughout)
})
