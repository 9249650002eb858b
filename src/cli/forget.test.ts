import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createBench, type Bench } from './testing/bench.ts'

const ON = ['--on', 'qemu:qmp=/run/qmp']

/** Three points of web1 and one of db1. */
async function filled(): Promise<Bench> {
  const bench = createBench()
  assert.equal((await bench.run('init')).code, 0)
  for (const name of ['web1', 'web1', 'web1', 'db1']) {
    assert.equal((await bench.run('backup', '--on', `${ON[1]},name=${name}`)).code, 0)
  }
  return bench
}

async function machinesLeft(bench: Bench): Promise<readonly unknown[]> {
  const { lines } = await bench.runJson('points')
  const points = lines[0]?.['points']
  assert.ok(Array.isArray(points))
  return points.map((point: { machine: unknown }) => point.machine)
}

test('rules apply to each machine by itself; a dry run shows why, changes nothing', async () => {
  const bench = await filled()
  const dry = await bench.run('forget', '--keep-last', '1', '--keep-yearly', '1', '-n', '--prune')
  assert.equal(dry.code, 0, dry.stderr)
  const lines = dry.stdout.split('\n')
  assert.match(lines[0] ?? '', /^POINT +TAKEN \(UTC\) +MACHINE +GRADE +ACTION +WHY$/)
  assert.match(lines[1] ?? '', / db1 +filesystem +keep +last 1, yearly \d{4}$/)
  assert.match(lines[2] ?? '', / web1 +filesystem +forget +no rule keeps it$/)
  assert.match(lines[4] ?? '', / web1 +filesystem +keep +last 1, yearly \d{4}$/)
  assert.match(dry.stdout, /^2 restore points would go, 2 would stay; .*; nothing was changed$/m)
  assert.match(dry.stdout, / would be freed, .* would remain$/m)
  assert.deepEqual(await machinesLeft(bench), ['web1', 'web1', 'web1', 'db1'])
  const done = await bench.run('forget', '--keep-last', '1', '--prune', '--max-unused', '0')
  assert.match(done.stdout, /^2 restore points forgotten, 2 kept/m)
  assert.match(done.stdout, / freed, .* remain$/m)
  assert.deepEqual(await machinesLeft(bench), ['web1', 'db1'])
  assert.equal((await bench.run('check', '--read-data')).code, 0)
  assert.match((await bench.run('prune')).stdout, /nothing to free/)
})

test('with a machine only its points are judged; points are forgotten by name', async () => {
  const bench = await filled()
  assert.equal((await bench.run('forget', 'web1', '--keep-last', '2')).code, 0)
  assert.deepEqual(await machinesLeft(bench), ['web1', 'web1', 'db1'])
  const named = await bench.runJson('forget', 'latest:web1')
  assert.equal(named.code, 0)
  const summary = named.lines.at(-1) ?? {}
  assert.equal(summary['command'], 'forget')
  assert.equal(summary['prune'], null)
  const [point, ...others] = summary['points'] as readonly Record<string, unknown>[]
  assert.deepEqual([point?.['machine'], point?.['action'], point?.['because'], others.length],
    ['web1', 'forget', 'named', 0])
  assert.deepEqual(await machinesLeft(bench), ['web1', 'db1'])
})

test('the last point of a machine goes only if that is said', async () => {
  const bench = await filled()
  const refused = await bench.run('forget', 'latest:db1')
  assert.equal(refused.code, 2)
  assert.match(refused.stderr, /no restore point of db1 .* would be left/)
  const kept = await bench.run('forget', '--keep-tag', 'none')
  assert.match(kept.stdout, /keep +no rule, but it is the last of its machine/)
  assert.deepEqual(await machinesLeft(bench), ['web1', 'db1'])
  assert.equal((await bench.run('forget', 'latest:db1', '--unsafe-allow-remove-all')).code, 0)
  assert.deepEqual(await machinesLeft(bench), ['web1'])
})

test('what cannot be meant is a usage fault, and nothing goes', async () => {
  const bench = await filled()
  for (const args of [
    [], ['--keep-last', '0'], ['--keep-last', '-1'], ['--keep-daily', 'x'],
    ['--keep-within', '5'], ['--keep-within-daily', '1w'], ['web1', 'db1', '--keep-last', '1'],
    ['--keep-last', '1', '--prune', '--max-unused', '100%'],
    ['--keep-last', '1', '--prune', '--max-unused', '-1'],
  ]) {
    const { code } = await bench.run('forget', ...args)
    assert.equal(code, 2, args.join(' '))
  }
  assert.equal((await bench.run('forget', 'mail', '--keep-last', '1')).code, 1)
  assert.equal((await machinesLeft(bench)).length, 4)
})
