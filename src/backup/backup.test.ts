/** Whole backups of machines in memory: what is stored is the disks at the instant. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { BackupEvent } from './backup-events.ts'
import { backupBench, basesOf, CHUNK, signal } from './testing/backup-bench.ts'

test('a first backup reads all, and later ones what has changed', async () => {
  await using bench = await backupBench()
  const first = await bench.backup()
  assert.deepEqual([first.mode, first.modeReason],
    ['full', 'this is the first backup of the disk into this repository'])
  assert.equal(first.bytesRead, first.sizeBytes)
  assert.ok('snapshotId' in first.stored)

  bench.write('vda', 3 * CHUNK + 7, 'x')
  const second = await bench.backup()
  assert.deepEqual([second.mode, second.bytesRead], ['incremental', CHUNK])
  assert.equal(second.modeReason, `what changed since ${first.pointId.slice(0, 8)}`)
  assert.deepEqual(basesOf(second), { vda: first.pointId, vdb: first.pointId })
  assert.equal((await bench.backup()).bytesRead, 0)
})

test('whatever is written between and during backups, each restores to its instant', async () => {
  const write = fc.record({
    disk: fc.constantFrom('vda', 'vdb'), at: fc.nat(6 * CHUNK), text: fc.string({ minLength: 1 }) })
  const round = fc.record({
    before: fc.array(write, { maxLength: 4 }), after: fc.array(write, { maxLength: 3 }),
    full: fc.nat(5).map((n) => n === 0), exclude: fc.nat(4).map((n) => n === 0 ? ['vdb'] : []) })
  await fc.assert(fc.asyncProperty(fc.array(round, { minLength: 1, maxLength: 4 }),
    async (rounds) => {
      await using bench = await backupBench()
      for (const { before, after, full, exclude } of rounds) {
        for (const { disk, at, text } of before) bench.write(disk, at, text)
        const then = bench.contents()
        const { pointId, stored } = await bench.backup({
          full, exclude,
          onEvent: (event) => {
            if (event.kind !== 'phase' || event.phase !== 'judging') return
            for (const { disk, at, text } of after) bench.write(disk, at, text)
          } })
        assert.ok('snapshotId' in stored)
        for (const id of exclude) then.delete(id)
        assert.deepEqual(await bench.restored(pointId), then)
      }
    }), { numRuns: 6 })
})

test('an asked-for full read says so, and is the base of the next', async () => {
  await using bench = await backupBench()
  await bench.backup()
  const full = await bench.backup({ full: true })
  assert.deepEqual([full.mode, full.modeReason], ['full', 'a full read was asked for'])
  assert.deepEqual(basesOf(await bench.backup()), { vda: full.pointId, vdb: full.pointId })
})

test('a record of changes that lacks some is found out, and all is read', async () => {
  await using bench = await backupBench()
  await bench.backup()
  bench.tracking.hides = (disk, offset) => disk === 'vda' && offset < 2 * CHUNK
  bench.write('vda', CHUNK, 'hidden')
  bench.write('vdb', CHUNK, 'told')
  const then = bench.contents()
  const summary = await bench.backup()
  assert.equal(basesOf(summary)['vda'], 'audit-failed')
  assert.equal(summary.mode, 'incremental')
  assert.match(summary.modeReason, /; vda in full: a sample showed changes/)
  assert.deepEqual(bench.logged, ['backup.audit-failed'])
  assert.deepEqual(await bench.restored(summary.pointId), then)
})

test('what the policy refuses is neither read nor stored, and the tracking stays', async () => {
  await using bench = await backupBench()
  const { pointId } = await bench.backup()
  bench.write('vda', 0, 'changed')
  const phases: BackupEvent[] = []
  const refused = await bench.backup({
    settings: { require: 'filesystem', onWeaker: 'fail' }, onEvent: (event) => phases.push(event) })
  assert.deepEqual([refused.stored, refused.bytesRead], [{ not: 'weaker-than-required' }, 0])
  assert.ok(phases.every((event) => event.kind === 'phase' && event.phase !== 'reading'))
  assert.equal((await bench.points()).length, 1)
  assert.deepEqual([...bench.provider.left], [])
  const next = await bench.backup()
  assert.deepEqual([basesOf(next)['vda'], next.bytesRead], [pointId, CHUNK])
})

test('what is not one instant is torn, and stored only where that is asked for', async () => {
  await using bench = await backupBench({ oneInstant: false })
  const torn = await bench.backup({ settings: { require: undefined, onWeaker: 'keep' } })
  assert.deepEqual([torn.result.grade, torn.stored], ['torn', { not: 'torn' }])
  assert.deepEqual(await bench.points(), [])
  const asked = await bench.backup({ settings: { require: 'torn', onWeaker: undefined } })
  assert.ok('snapshotId' in asked.stored)
})

test('an instant that is lost while it is read leaves no point, and harms no later', async () => {
  await using bench = await backupBench()
  const { pointId } = await bench.backup()
  bench.write('vda', 0, 'changed')
  await assert.rejects(bench.backup({ onEvent: (event) => {
    if (event.kind === 'phase' && event.phase === 'reading') bench.provider.lost = 'gone'
  } }), { code: 'snapshot-broken' })
  assert.equal((await bench.points()).length, 1)
  bench.provider.lost = undefined
  const then = bench.contents()
  const next = await bench.backup()
  assert.equal(basesOf(next)['vda'], pointId)
  assert.deepEqual(await bench.restored(next.pointId), then)
})

test('an instant that is lost behind the last read is torn and not stored', async () => {
  await using bench = await backupBench()
  const lost = await bench.backup({ onEvent: (event) => {
    if (event.kind !== 'reading' || event.diskId !== 'vdb') return
    if (event.doneBytes === event.sizeBytes) bench.provider.lost = 'gone'
  } })
  assert.deepEqual([lost.result.grade, lost.stored], ['torn', { not: 'torn' }])
  assert.deepEqual(await bench.points(), [])
})

test('a disk left out makes the coverage partial, unless it is excluded', async () => {
  const leftOut = [{ id: 'vdz', reason: 'pass-through', detail: 'not ours to read' }] as const
  await using bench = await backupBench({ leftOut })
  const partial = await bench.backup()
  assert.equal(partial.result.coverage.kind, 'partial')
  assert.ok(partial.judgement.kind === 'weaker' && partial.judgement.store)
  assert.deepEqual(partial.judgement.because,
    ['Disk vdz is not in the point (pass-through): not ours to read'])
  assert.ok('snapshotId' in partial.stored)
})

test('the power of a machine is asked behind the instant, where that can be', async () => {
  await using bench = await backupBench({ power: 'off' })
  assert.deepEqual((await bench.backup()).evidence.power, { before: 'off', after: 'off' })
  bench.cannotTellPower = true
  assert.deepEqual((await bench.backup()).evidence.power, { before: 'off', after: 'unknown' })
})

test('an abort leaves no point and puts the tracking back', async () => {
  await using bench = await backupBench()
  const { pointId } = await bench.backup()
  const reason = new Error('changed my mind')
  for (const phase of ['judging', 'reading', 'sealing'] as const) {
    const stop = new AbortController()
    await assert.rejects(bench.backup({
      onEvent: (event) => {
        if (event.kind === 'phase' && event.phase === phase) stop.abort(reason)
      } }, AbortSignal.any([signal, stop.signal])), reason)
    assert.equal((await bench.points()).length, 1, phase)
  }
  assert.equal(basesOf(await bench.backup())['vda'], pointId)
})

test('a platform takes a set without quiescing where that would be kept alone', async () => {
  await using bench = await backupBench({ heldBy: { kind: 'platform', quiesce: {
    claimed: 'filesystem', documents: [{ name: 'a', text: 'frozen', shows: 'filesystem' }] } } })
  const { provider } = bench
  for (const settings of [
    { require: undefined, onWeaker: undefined },
    { require: 'filesystem', onWeaker: 'keep' },
    { require: 'crash', onWeaker: 'fail' },
    { require: 'filesystem', onWeaker: 'fail' }, { require: undefined, onWeaker: 'fail' },
  ] as const) await bench.backup({ settings })
  assert.deepEqual(provider.wishes,
    ['if-possible', 'if-possible', 'if-possible', 'or-fail', 'or-fail'])
})
