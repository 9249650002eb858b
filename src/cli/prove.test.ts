/** `prove` as an operator meets it: verdicts are kept, and told by `points` and `show`. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createBench, type Bench } from './testing/bench.ts'

const ON = ['--on', 'qemu:qmp=/run/qmp.sock']

async function withPoint(): Promise<Bench> {
  const bench = createBench()
  assert.equal((await bench.run('init')).code, 0)
  await bench.run('backup', ...ON)
  return bench
}

test('disks that were held still prove the grade, and all say so', async () => {
  const bench = await withPoint()
  const { code, stdout } = await bench.run('prove', 'latest')
  assert.equal(code, 0)
  assert.match(stdout, /^restore point [0-9a-f]{8} of web1, /)
  assert.match(stdout, /^verdict: proven \(filesystem\)$/m)
  assert.match(stdout, /: confirmed\n +image: .*needs_recovery is not set$/m)
  assert.match((await bench.run('points')).stdout, / filesystem +proven, just now +whole /)
  assert.match((await bench.run('show', 'latest')).stdout, /^verdict: proven \(filesystem\)$/m)
})

test('a verdict goes with its point, and the repository stays whole', async () => {
  const bench = await withPoint()
  await bench.run('prove', 'latest')
  await bench.run('backup', ...ON)
  await bench.run('prove', '--all')
  assert.equal((await bench.run('check', '--read-data')).code, 0)
  const { lines } = await bench.runJson('forget', '--keep-last', '1')
  const records = lines.at(-1)?.['records']
  assert.ok(Array.isArray(records) && records.length === 2, 'a completion and a verdict')
  assert.match((await bench.run('points')).stdout, /proven, [^]*\n1 restore point/)
})

test('all machines are walked, as long as the budget lasts', async () => {
  const bench = await withPoint()
  const { code, lines } = await bench.runJson('prove', '--all', '--budget', '0')
  assert.equal(code, 0)
  assert.deepEqual([lines.at(-1)?.['proved'], lines.at(-1)?.['left']], [[], ['web1']])
})

test('what cannot be meant is a fault of use', async () => {
  const bench = await withPoint()
  for (const args of [
    [], ['latest', '--all'], ['latest', '--budget', '3'], ['--all', '--budget', 'long'],
  ]) {
    assert.equal((await bench.run('prove', ...args)).code, 2, args.join(' '))
  }
  assert.equal((await bench.run('prove', 'nothing')).code, 1)
})
