/** What a libvirtd says, damaged at random: a fault or a result, never anything else. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Fault } from '../../src/base/fault.ts'
import { describeHostileDomain } from '../../src/providers/testing/mod.ts'
import { Dice } from './mutate.ts'

const ROUNDS = 3_000
const signal = new AbortController().signal

const DOMAIN = `<domain type='qemu' id='1'><name>tiny</name>
<uuid>11111111-2222-4333-8444-555555555555</uuid><memory unit='KiB'>262144</memory>
<vcpu placement='static'>1</vcpu><os firmware='efi'><type arch='x86_64'>hvm</type></os>
<devices><disk type='file' device='disk'><driver name='qemu' type='qcow2'/>
<source file='/a.qcow2' index='2'/><backingStore type='file'><source file='/b'/></backingStore>
<target dev='vda' bus='virtio'/><serial>disk0</serial>
<address type='pci' domain='0x0000' bus='0x03' slot='0x00' function='0x0'/></disk>
<controller type='scsi' index='0'><driver iothread='1'/></controller>
<interface type='network'><mac address='52:54:00:00:00:01'/></interface>
<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0' state='connected'/>
</channel></devices></domain>`
const STATS = `Domain: 'tiny'
  state.state=1
  state.reason=1
  block.count=1
  block.0.name=vda
  block.0.capacity=536870912
`
const JOB = `<domainbackup mode='pull'><server transport='unix' socket='/s'/><disks>
<disk name='vda' backup='yes'><scratch file='/x/stillpoint-1a2b3c4d-nbd.sock'/></disk></disks>
</domainbackup>`

function damaged(text: string, dice: Dice): string {
  const at = dice.below(text.length)
  const to = at + dice.below(40)
  switch (dice.below(5)) {
    case 0: return text.slice(0, at)
    case 1: return text.slice(0, at) + text.slice(to)
    case 2: return text.slice(0, at) + text.slice(at, to).repeat(dice.below(50)) + text.slice(to)
    case 3: return text.slice(0, at) + String.fromCharCode(dice.below(0x2000)) + text.slice(at + 1)
    default: return text.replace(/\d+/, '9'.repeat(1 + dice.below(400)))
  }
}

test(`${ROUNDS} damaged answers of libvirt are faults or machines`, async () => {
  let machines = 0
  for (let seed = 0; seed < ROUNDS; seed++) {
    const dice = new Dice(seed)
    const said = [DOMAIN, STATS, JOB].map((text) =>
      dice.below(2) === 0 ? text : damaged(text, dice))
    try {
      const machine = await describeHostileDomain((words) => Promise.resolve(
        said[words[0] === 'dumpxml' ? 0 : words[0] === 'domstats' ? 1 : 2] ?? ''), signal)
      machines++
      for (const { sizeBytes } of machine.disks) assert.ok(Number.isSafeInteger(sizeBytes))
      assert.ok(Number.isSafeInteger(machine.memoryBytes) && machine.cpuCount >= 1)
    } catch (error) {
      assert.ok(error instanceof Fault, `seed ${seed}: ${String(error)}`)
    }
  }
  assert.ok(machines > ROUNDS / 8, `${machines}`)
})
