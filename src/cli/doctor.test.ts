/** `doctor`: what a backup would reach, said as a person would want it, and nothing touched. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createBench } from './testing/bench.ts'

const ON = ['--on', 'qemu:qmp=/run/qmp']

test('a machine whose agent can freeze, of whose applications nothing is known', async () => {
  const bench = createBench()
  const { code, stdout, stderr } = await bench.run('doctor', ...ON)
  assert.deepEqual([code, stderr], [0, ''])
  assert.equal(stdout, `\
web1 on qemu
  power    running
  disks    2 disks, 5.0 MiB
  held by  the guest agent, fake-ga 1.0

file systems
  / (ext4 on vda)     can be held still
  /srv (ext4 on vdb)  can be held still

a backup now would be: filesystem (all file systems were held still at one instant)
  why not higher
    It could not be found out which applications keep data on the machine: there is no agent of \
Stillpoint in the guest.
      to raise it: Give Stillpoint a channel into the guest.
`)
  assert.equal(bench.provider.left.size, 0)
})

test('a requirement that cannot be reached is exit code 3, with what would raise it', async () => {
  const bench = createBench({ freezer: { missing: 'agent-silent', detail: 'no answer in 5 s' } })
  const { code, stdout } = await bench.run('doctor', ...ON, '--require', 'filesystem')
  assert.equal(code, 3)
  assert.match(stdout, /^ {2}held by {2}nobody: no answer in 5 s$/m)
  assert.match(stdout, /to raise it: Install and start qemu-guest-agent in the guest\.$/m)
  assert.match(stdout, /^ {2}LESS THAN REQUIRED\n.*filesystem is required \(as set\)/m)
})

test('the same for programs', async () => {
  const bench = createBench()
  const { lines } = await bench.runJson('doctor', ...ON)
  const [summary] = lines
  assert.deepEqual(
    [summary?.['grade'], summary?.['heldBy'], summary?.['meetsPolicy'], summary?.['require']],
    ['filesystem', 'agent', true, 'filesystem'])
})
