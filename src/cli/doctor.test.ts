/** `doctor`: what a backup would reach, said as a person would want it, and nothing touched. */

import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
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
  do first: run: stillpoint agent install --on qemu:qmp=/run/qmp
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

test('the command that brings the agent there is one that a shell takes', async () => {
  const bench = createBench()
  const { stdout } = await bench.run('doctor', '--on', 'qemu:qmp=/run/it\'s,channel=/run/c')
  const command = "stillpoint agent install --on 'qemu:qmp=/run/it'\\''s,channel=/run/c'"
  assert.ok(stdout.includes(`\n  do first: run: ${command}\n`), stdout)
  const { lines: [silent] } = await createBench({
    freezer: { missing: 'agent-silent', detail: 'no answer' } }).runJson('doctor', ...ON)
  assert.equal(silent?.['doFirst'], 'Install and start qemu-guest-agent in the guest.')
})

suite('the agent in the machine', () => {
  test('is not brought where the platform has no way in, and it is said how to do it by hand',
    async () => {
      const { code, stderr } = await createBench().run(
        'agent', 'install', '--executable', '/etc/passwd', ...ON)
      assert.equal(code, 1)
      assert.match(stderr, /nothing can be done inside machines on qemu \(unsupported\)/)
      assert.match(stderr, /do: Copy the executable .* as root: \.\/stillpoint-agent install$/m)
    })

  test('is not brought where the guest forbids it, and the guest is let go', async () => {
    let isOpen = true
    const bench = createBench({ guest: {
      agent: 'qemu-ga 7.2', forbidden: ['guest-exec'],
      run: () => assert.fail('run'), read: () => assert.fail('read'),
      write: () => assert.fail('written'),
      [Symbol.asyncDispose]: async () => { isOpen = false },
    } })
    const { code, stderr } = await bench.run('agent', 'status', ...ON)
    assert.deepEqual([code, isOpen], [1, false])
    assert.match(stderr, /qemu-ga 7\.2 in web1 does not allow guest-exec \(agent-refused\)/)
    assert.match(stderr, /do: Run in the machine, as root: \S+stillpoint-agent status$/m)
  })

  test('what it says passes no terminal escapes; left to do is exit code 3', async () => {
    const bench = createBench({ guest: {
      agent: 'qemu-ga 7.2', forbidden: [],
      run: async (program) => program === '/bin/sh' ? { code: 0, stdout: '', stderr: '' }
        : { code: 3, stdout: 'port \u001b[2J\n', stderr: '' },
      read: () => assert.fail('read'), write: () => assert.fail('written'),
      [Symbol.asyncDispose]: async () => {},
    } })
    assert.deepEqual(await bench.run('agent', 'status', ...ON),
      { code: 3, stdout: 'port \\x1b[2J\n', stderr: '' })
  })
})
