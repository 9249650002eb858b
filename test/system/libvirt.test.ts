/** The libvirt platform on a real libvirtd with one guest, which all tests of this file share. */

import assert from 'node:assert/strict'
import { after, suite, test } from 'node:test'
import { libvirtAtRest } from './libvirt/at-rest.ts'
import { libvirtContracts, type Shared } from './libvirt/contract.ts'
import { libvirtIncrements } from './libvirt/increments.ts'
import { FEW_KILLS, libvirtKilled } from './libvirt/killed.ts'
import { libvirtMember } from './libvirt/member.ts'
import { DISK_BYTES, libvirtMissing, startDomain, startLibvirt } from './libvirt/rig.ts'
import { libvirtTroubles } from './libvirt/troubles.ts'

const missing = libvirtMissing()
const signal = new AbortController().signal
let shared: Promise<Shared> | undefined

function start(): Promise<Shared> {
  shared ??= (async () => {
    const libvirt = await startLibvirt()
    return { libvirt, guest: await startDomain(libvirt, 'tiny') }
  })()
  return shared
}

suite('libvirt', { skip: missing }, () => {
  after(async () => {
    const it = await shared
    it?.guest[Symbol.dispose]()
    await it?.libvirt[Symbol.asyncDispose]()
  })

  test('machines are listed with power, agent and disks', { timeout: 120_000 }, async (t) => {
    const { libvirt } = await start()
    await using platform = await libvirt.open()
    let machines = await platform.machines(signal)
    // On a busy host an agent may take longer than the list waits.
    while (machines[0]?.agent !== 'answers') {
      t.signal.throwIfAborted()
      machines = await platform.machines(signal)
    }
    assert.deepEqual(machines, [{
      name: 'tiny', power: 'running', agent: 'answers',
      disks: ['vda', 'vdb'].map((id) => ({ id, sizeBytes: DISK_BYTES })) }])
    await assert.rejects(platform.describe('other', signal), { code: 'machine-not-found' })
  })

  libvirtContracts(start)
  libvirtIncrements(start)
  libvirtKilled(start, FEW_KILLS)
  libvirtMember(start)
  libvirtTroubles(start)
  libvirtAtRest(async () => (await start()).libvirt)
})
