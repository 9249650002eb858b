/** The platform on vcsim, govmomi's vCenter simulator. */

import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { systemClock } from '../../base/clock.ts'
import { silentLog } from '../../base/log.ts'
import { systemRandom } from '../../base/random.ts'
import { temporaryFolder } from '../testing/temporary-folder.ts'
import { Vcsim, vcsimMissing } from '../testing/vcsim.ts'
import { openVspherePlatform } from './platform.ts'

const skip = vcsimMissing() ?? false
const { signal } = new AbortController()
const context = { clock: systemClock, random: systemRandom, log: silentLog }
const MAX_GROWTH_BYTES = 300 * 2 ** 20

test('a thousand machines are listed and one of them described, in bounded memory', { skip },
  async () => {
    await using folder = await temporaryFolder()
    const passwordFile = join(folder.path, 'password')
    await writeFile(passwordFile, 'p\n')
    await using sim = await Vcsim.start('-vm', '500')
    await using platform = await openVspherePlatform(
      { url: sim.url, user: 'u', passwordFile, fingerprint: await sim.fingerprint() },
      context, signal)
    const before = process.memoryUsage.rss()
    const machines = await platform.machines(signal)
    const grownBytes = process.memoryUsage.rss() - before
    assert.equal(machines.length, 1000)
    assert.ok(machines.every(({ disks, power }) => disks.length === 1 && power === 'running'))
    assert.ok(grownBytes < MAX_GROWTH_BYTES, `memory grew by ${grownBytes} bytes`)
    const { machine, documents } = await platform.describe('DC0_C0_RP0_VM499', signal)
    assert.deepEqual(machine.disks.map(({ id, bus }) => [id, bus]), [['scsi0-0', 'scsi']])
    // The older vcsim's disks are that large, and the newer one's.
    const [disk] = machine.disks
    assert.ok([2 ** 20, 10 * 2 ** 30].includes(disk?.sizeBytes ?? 0), `${disk?.sizeBytes} bytes`)
    assert.deepEqual([machine.platform, machine.firmware, machine.cpuCount, machine.memoryBytes],
      ['vsphere', 'bios', 1, 32 * 2 ** 20])
    assert.deepEqual(documents.map(({ name }) => name), ['vsphere.json'])
    await assert.rejects(platform.describe('none', signal), { code: 'machine-not-found' })
    // By its id, as where names repeat.
    const [, number = ''] = /"id":"(vm-\d+)"/.exec(documents[0]?.text ?? '') ?? []
    assert.equal((await platform.describe(number, signal)).machine.name, 'DC0_C0_RP0_VM499')
  })
