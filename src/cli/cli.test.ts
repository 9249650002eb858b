import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Fault } from '../base/fault.ts'
import { isJsonObject } from '../base/json.ts'
import { createBench, type Bench } from './testing/bench.ts'

const ESCAPE = '\u001b'
const ON = ['--on', 'qemu:qmp=/run/qmp']

async function initialised(options: Parameters<typeof createBench>[0] = {}): Promise<Bench> {
  const bench = createBench(options)
  assert.equal((await bench.run('init')).code, 0)
  return bench
}

const silentAgent = { missing: 'agent-silent', detail: 'no answer in 5 s' } as const

test('a backup of a frozen machine is stored, and its last line is the grade', async () => {
  const bench = await initialised()
  const { code, stdout, stderr } = await bench.run('backup', ...ON)
  assert.equal(stderr, '')
  assert.equal(code, 0)
  const lines = stdout.trimEnd().split('\n')
  assert.match(lines[0] ?? '', /^restore point [0-9a-f]{8} of web1 is stored \(restic snapshot /)
  assert.match(lines.at(-1) ?? '', /^grade: filesystem\. Why not higher: It could not be found out/)
  assert.equal(bench.provider.left.size, 0)
})

test('what was stored is listed, shown and sound', async () => {
  const bench = await initialised()
  await bench.run('backup', ...ON)
  const points = await bench.run('points', 'web1')
  assert.match(points.stdout,
    /^POINT +TAKEN \(UTC\) +MACHINE +GRADE +VERDICT +DISKS +HELD +SIZE +ADDED +SNAPSHOT$/m)
  assert.match(points.stdout, / web1 +filesystem +- +whole .* 5\.0 MiB /)
  assert.equal((await bench.run('points', 'other')).stdout, 'no restore point yet\n')
  const shown = await bench.run('show', 'latest:web1')
  assert.equal(shown.code, 0)
  assert.match(shown.stdout, /^grade: filesystem \(/m)
  assert.match(shown.stdout, /^ {2}file systems +\|.* held /m)
  assert.match(shown.stdout, /\/ \(ext4 on vda\) +held still/)
  const check = await bench.run('check', '--read-data')
  assert.equal(check.code, 0)
  assert.match(check.stdout, /no errors were found\n$/)
})

test('a machine that was better before ends with exit code 3 and says so', async () => {
  const habits = { freezer: silentAgent }
  const bench = await initialised(habits)
  const first = await bench.run('backup', ...ON)
  assert.equal(first.code, 0, 'its first backup is as good as could be expected')
  const wanted = await bench.run('backup', ...ON, '--require', 'filesystem')
  assert.equal(wanted.code, 3)
  assert.match(wanted.stdout, /LESS THAN REQUIRED, and stored all the same/)
  assert.match(wanted.stdout, /grade: crash\. Why not higher: The guest agent does not answer/)
  const failed = await bench.run('backup', ...ON, '--require', 'filesystem', '--on-weaker', 'fail')
  assert.equal(failed.code, 3)
  assert.match(failed.stdout, /^NOT STORED: web1 has no new restore point$/m)
  assert.match(failed.stdout, /LESS THAN REQUIRED, so it was not stored/)
  const { lines } = await bench.runJson('points')
  const points = lines[0]?.['points']
  assert.ok(Array.isArray(points) && points.length === 2)
})

test('--json prints one object a line and the summary has what scripts need', async () => {
  const bench = await initialised()
  const { code, lines } = await bench.runJson('backup', ...ON)
  assert.equal(code, 0)
  for (const line of lines) assert.equal(line['version'], 1)
  assert.ok(lines.slice(0, -1).every((line) => line['message_type'] === 'status'))
  assert.ok(lines.every((line) => line['phase'] !== 'holding'), 'nothing is printed in the hold')
  const summary = lines.at(-1) ?? {}
  assert.equal(summary['message_type'], 'summary')
  assert.equal(summary['command'], 'backup')
  assert.match(String(summary['point']), /^[0-9a-f-]{36}$/)
  assert.match(String(summary['snapshot']), /^[0-9a-f]{64}$/)
  assert.equal(summary['stored'], true)
  assert.equal(summary['machine'], 'web1')
  assert.equal(summary['grade'], 'filesystem')
  assert.deepEqual(summary['coverage'], { kind: 'whole', rechecked: true, leftOut: [] })
  assert.deepEqual(summary['applications'], [])
  assert.equal(summary['mode'], 'full')
  assert.equal(typeof summary['reason'], 'string')
  for (const key of ['heldMs', 'stalledMs', 'bytesRead', 'bytesAdded', 'durationMs']) {
    assert.ok(typeof summary[key] === 'number' && summary[key] > 0, key)
  }
})

test('a fault with --json is one error object and nothing on stderr', async () => {
  const bench = createBench()
  const { code, stdout, stderr } = await bench.run('points', '--json')
  assert.equal(code, 10)
  assert.equal(stderr, '')
  assert.deepEqual(JSON.parse(stdout), {
    message_type: 'error', version: 1, code: 'no-repository', causes: [], exitCode: 10,
    message: 'there is no repository at /memory',
    advice: 'Create one with "stillpoint init", or name the right place.',
  })
})

test('the summaries of all commands parse and name their command', async () => {
  const bench = createBench()
  const commands = [
    ['init'], ['machines', ...ON], ['backup', ...ON], ['points'], ['show', 'latest'], ['check'],
    ['unlock'],
  ]
  for (const args of commands) {
    const { code, lines } = await bench.runJson(...args)
    assert.equal(code, 0, args[0])
    const [summary, ...others] = lines.filter((line) => line['message_type'] === 'summary')
    assert.equal(summary?.['command'], args[0])
    assert.equal(others.length, 0)
  }
  const { lines } = await bench.runJson('show', 'latest')
  const evidence = lines[0]?.['evidence']
  assert.ok(isJsonObject(evidence) && evidence['version'] === 1)
})

test('what a killed run left held is let go although there is no repository', async () => {
  const bench = createBench()
  bench.provider.holds = ['of a run that was killed']
  assert.equal((await bench.run('backup', ...ON)).code, 10)
  assert.deepEqual(bench.provider.holds, [])
})

test('exit codes: usage, no repository, twice the same, wrong password', async () => {
  const bench = await initialised()
  const expected: readonly (readonly [number, string, readonly string[]])[] = [
    [2, 'usage', []],
    [2, 'usage', ['bakup']],
    [2, 'usage', ['show']],
    [2, 'usage', ['points', '--reop', 'x']],
    [2, 'usage', ['backup', ...ON, '--require', 'gold']],
    [2, 'usage', ['backup', '--on', 'qemu:']],
    [2, 'usage', ['backup', '--on', 'web1']],
    [2, 'usage', ['machines']],
    [1, 'unsupported', ['machines', '--on', 'host:']],
    [1, 'platform-unreachable', ['machines', '--on', 'qemu:qmp=/gone']],
    [1, 'machine-not-found', ['backup', 'web9', ...ON]],
    [1, 'point-not-found', ['show', 'latest']],
    [1, 'repository-exists', ['init']],
    [10, 'no-repository', ['points', '-r', '/other']],
  ]
  for (const [code, fault, args] of expected) {
    const ended = await bench.run(...args)
    assert.equal(ended.code, code, `${args.join(' ')}: ${ended.stderr}`)
    assert.match(ended.stderr, new RegExp(`^error: .+ \\(${fault}\\)$`, 'm'), args.join(' '))
    assert.equal(ended.stdout, '')
  }
})

test('a misspelt option or command is answered with what was meant', async () => {
  const bench = createBench()
  const option = await bench.run('backup', '--reqire', 'crash')
  assert.equal(option.stderr,
    'error: unknown option \'--reqire\' (usage)\n    do: Did you mean --require?\n')
  const command = await bench.run('bakup')
  assert.equal(command.stderr,
    'error: unknown command \'bakup\' (usage)\n    do: Did you mean backup?\n')
})

test('the password is asked for, twice for a new repository', async () => {
  const environment = { RESTIC_REPOSITORY: '/memory' }
  const differing = createBench({ environment, answers: ['one', 'two'] })
  assert.match((await differing.run('init')).stderr, /the two passwords differ \(usage\)/)
  const empty = createBench({ environment, answers: [''] })
  assert.match((await empty.run('init')).stderr, /gives an empty password \(usage\)/)
  const bench = createBench({ environment, answers: ['one', 'one'] })
  assert.equal((await bench.run('init')).code, 0)
  assert.equal((await bench.run('points')).code, 0)
  assert.equal((await bench.run('points', '--password-command', '/bin/echo "two"')).code, 12)
  const nobody = createBench({ environment })
  const { code, stderr } = await nobody.run('init')
  assert.equal(code, 2)
  assert.match(stderr, /it is not said where the password of the repository is \(usage\)/)
})

test('a signal before the hold ends the run with 130 and leaves nothing', async () => {
  const controller = new AbortController()
  controller.abort(new Fault('interrupted', 'interrupted by SIGINT'))
  const bench = createBench({ signal: controller.signal })
  const { code, stderr } = await bench.run('init')
  assert.equal(code, 130)
  assert.equal(stderr, 'error: interrupted by SIGINT (interrupted)\n')
})

test('colours are for terminals alone', async () => {
  const plain = await initialised()
  assert.ok(!(await plain.run('backup', ...ON)).stdout.includes(ESCAPE))
  const terminal = await initialised({ isTerminal: true })
  assert.ok((await terminal.run('backup', ...ON)).stdout.includes(`${ESCAPE}[32mfilesystem`))
  assert.ok(!(await terminal.run('backup', ...ON, '--no-color')).stdout.includes(ESCAPE))
})

test('--help of each command names its options and gives examples, and ends with 0', async () => {
  const bench = createBench()
  for (const name of ['init', 'machines', 'backup', 'points', 'show', 'restore', 'check', 'unlock',
    'demo']) {
    const { code, stdout, stderr } = await bench.run(name, '--help')
    assert.equal(code, 0)
    assert.equal(stderr, '')
    assert.match(stdout, new RegExp(`^Usage: stillpoint ${name}`))
    assert.match(stdout, /--repo <path>/)
    for (const line of stdout.split('\n')) assert.ok(line.length <= 100, line)
  }
  const { stdout } = await bench.run('--version')
  assert.equal(stdout, 'stillpoint 0.0.0\n')
})
