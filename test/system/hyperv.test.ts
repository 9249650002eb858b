/** Machines of Hyper-V by the program itself, on a host that is simulated. */

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { DISK_BYTES, HypervRound, hypervSkip as skip, killedAt } from './hyperv-round.ts'

test('a machine of Hyper-V is listed, explained, captured and captured again', { skip },
  async (t) => {
    const round = await HypervRound.start(t)
    const machines = await round.run('machines')
    assert.match(JSON.stringify(machines.summary), /"win1".*"running"/)
    const doctor = await round.run('doctor', 'win1')
    assert.match(JSON.stringify(doctor.summary), /enabled, and the guest answers/)
    const first = await round.run('backup', 'win1')
    assert.equal(first.summary['grade'], 'filesystem', JSON.stringify(first))
    assert.match(JSON.stringify(first.summary), /awaiting-guest-log/)
    assert.equal(first.summary['mode'], 'full')
    const state = await round.state()
    assert.deepEqual(state.machines[0]?.checkpoints, [])
    assert.equal(state.machines[0]?.referencePoints.length, 1)
    state.changes = [{ offset: 2 ** 20, length: 4096 }]
    await round.write(state)
    const second = await round.run('backup', 'win1')
    assert.equal(second.summary['mode'], 'incremental', JSON.stringify(second.summary))
    assert.ok(Number(second.summary['bytesRead']) < 2 ** 20 * 2)
    await round.write({ ...await round.state(), changes: [{ offset: 0, length: DISK_BYTES }] })
    const third = await round.run('backup', 'win1')
    assert.equal(third.summary['mode'], 'incremental', JSON.stringify(third.summary))
    // Blocks that are in no file hold zeros: an increment reads no more than a full backup does.
    assert.equal(third.summary['bytesRead'], first.summary['bytesRead'])
    assert.ok(Number(first.summary['bytesRead']) < DISK_BYTES / 2)
    await round.run('restore', 'latest:win1', '--to', 'out')
    assert.ok((await readFile(join(round.folder, 'out', 'scsi0-0.raw')))
      .equals(await readFile(join(round.folder, 'ntfs'))))
  })

test('killed before the reference point is made, its checkpoint goes at the next run', { skip },
  (t) => killedAt('convert', 2, t))
