/** `audit-tracking` as an operator meets it, of a machine that tracks nothing. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createBench } from './testing/bench.ts'

const ON = ['--on', 'qemu:qmp=/run/qmp.sock']

test('where there is nothing to audit, it is said why, and nothing is left', async () => {
  const bench = createBench()
  await bench.run('init')
  await bench.run('backup', ...ON)
  const { code, stdout } = await bench.run('audit-tracking', ...ON)
  assert.equal(code, 0)
  assert.match(stdout, /^ {2}vda: nothing to audit: the platform does not track the changes/m)
  assert.match(stdout, /\nThe next backup reads all in any case\.\n$/)
  const { lines } = await bench.runJson('audit-tracking', ...ON)
  const disks = lines.at(-1)?.['disks']
  assert.ok(Array.isArray(disks) && disks.length === 2)
  assert.deepEqual([...bench.provider.left], [])
})

test('a sample that is no percentage is a fault of use', async () => {
  const bench = createBench()
  for (const sample of ['0', '101', '-1', 'all', '']) {
    assert.equal((await bench.run('audit-tracking', ...ON, '--sample', sample)).code, 2, sample)
  }
})
