/** What a killed run left, against a libvirt of a few lines; a kill is a command that fails. */

import assert from 'node:assert/strict'
import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { ManualClock } from '../../base/testing/manual-clock.ts'
import { Fault } from '../../base/fault.ts'
import { processMark } from '../../base/process-mark.ts'
import { temporaryFolder } from '../testing/mod.ts'
import { endRun } from './end-run.ts'
import { endLeftJob, resumeStopped } from './leftovers.ts'
import type { VirshCommands } from './virsh.ts'

const UUID = '11111111-2222-4333-8444-555555555555'
const { signal } = new AbortController()
const GONE = processMark(2 ** 22 + 1, undefined, () => '1')

/** A machine that QEMU has stopped, and the job of a run whose process is gone. */
class StoppedMachine implements VirshCommands {
  owner: string | undefined = `stillpoint-01234567-11111111-${GONE}-vda.qcow2`
  isStopped = true
  diesAt = ''

  run([command = '']: readonly string[]): Promise<string> {
    if (command === this.diesAt) return Promise.reject(new Error('killed'))
    switch (command) {
      case 'dumpxml': return Promise.resolve("<domain id='1'><name>db1</name></domain>")
      case 'domstats': return Promise.resolve(
        `  state.state=${this.isStopped ? 3 : 1}\n  state.reason=${this.isStopped ? 5 : 1}\n`)
      case 'domjobabort': this.owner = undefined; return Promise.resolve('')
      case 'resume': this.isStopped = false; return Promise.resolve('')
      default: return this.owner === undefined
        ? Promise.reject(new Fault('platform-refused', 'no domain backup job'))
        : Promise.resolve(`<domainbackup><disks><disk><scratch file='/s/${this.owner}'/></disk>
          </disks></domainbackup>`)
    }
  }
}

test('whoever ends the job of a dead run and is killed before the machine goes on, the next knows',
  async () => {
    await using folder = await temporaryFolder()
    const virsh = new StoppedMachine()
    const place = { virsh, uuid: UUID, runDir: folder.path, clock: new ManualClock() }
    virsh.diesAt = 'resume'
    await assert.rejects(endLeftJob(place, false, signal), /killed/)
    virsh.diesAt = ''
    assert.deepEqual([virsh.owner, virsh.isStopped], [undefined, true])
    assert.deepEqual(await resumeStopped(place, false, signal),
      ['stop of the machine over its full scratch'])
    assert.equal(virsh.isStopped, false)
    assert.deepEqual(await readdir(folder.path), [])
  })

test('a run that is killed between its job and the machine leaves both to its guardian',
  async () => {
    await using folder = await temporaryFolder()
    const virsh = new StoppedMachine()
    const place = { virsh, uuid: UUID, runDir: folder.path, clock: new ManualClock() }
    for (const diesAt of ['domjobabort', 'domstats', 'resume']) {
      virsh.diesAt = diesAt
      await assert.rejects(endRun(place, '01234567', signal), /killed/)
    }
    virsh.diesAt = ''
    assert.deepEqual([virsh.owner, virsh.isStopped], [undefined, true])
    assert.deepEqual(await endRun(place, '01234567', signal), { ended: false, resumed: true })
    assert.deepEqual(await endRun(place, '01234567', signal), { ended: false, resumed: false })
    assert.deepEqual(await readdir(folder.path), [])
  })

test('without room for its mark a run ends its job all the same, and the machine goes on',
  async () => {
    await using folder = await temporaryFolder()
    const virsh = new StoppedMachine()
    const runDir = join(folder.path, 'none')
    const place = { virsh, uuid: UUID, runDir, clock: new ManualClock() }
    assert.deepEqual(await endRun(place, '01234567', signal), { ended: true, resumed: true })
    assert.deepEqual([virsh.owner, virsh.isStopped], [undefined, false])
  })

test('a machine that QEMU stopped for a reason of its own, or of others, is left', async () => {
  await using folder = await temporaryFolder()
  const virsh = new StoppedMachine()
  const place = { virsh, uuid: UUID, runDir: folder.path, clock: new ManualClock() }
  virsh.isStopped = false
  await writeFile(join(folder.path, `stillpoint-${UUID}.stopped`), '') // it goes on by now
  await resumeStopped(place, false, signal)
  virsh.isStopped = true
  for (const owner of [undefined, 'of-another-program.qcow2']) {
    virsh.owner = owner
    assert.deepEqual(await resumeStopped(place, false, signal), [])
    assert.equal(virsh.isStopped, true)
  }
  virsh.owner = new StoppedMachine().owner
  assert.equal((await resumeStopped(place, false, signal)).length, 2)
  assert.equal(virsh.isStopped, false)
  assert.deepEqual(await readdir(folder.path), [])
})
