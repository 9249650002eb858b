/** The program as it is started: real processes, real files, real signals. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { quietEnvironment } from '../base/program.ts'
import { isJsonObject } from '../base/json.ts'

const PROGRAM = fileURLToPath(new URL('../../bin/stillpoint', import.meta.url))

interface Ended {
  readonly code: number | string | null
  readonly stdout: string
  readonly stderr: string
}

async function emptyFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'stillpoint-cli-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  await writeFile(join(folder, 'password'), 'secret\n')
  return folder
}

function run(
  folder: string, args: readonly string[], environment: Readonly<Record<string, string>> = {},
): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(PROGRAM, args, {
      cwd: folder, stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...quietEnvironment(), ...environment },
    })
    let [stdout, stderr] = ['', '']
    child.stdout.on('data', (data: Buffer) => { stdout += data.toString() })
    child.stderr.on('data', (data: Buffer) => { stderr += data.toString() })
    child.on('error', reject)
    child.on('close', (code, killedBy) => resolve({ code: code ?? killedBy, stdout, stderr }))
  })
}

const REPOSITORY = { RESTIC_REPOSITORY: 'repository', RESTIC_PASSWORD_FILE: 'password' }

test('a repository is made once, opened with its password, and not without', async (t) => {
  const folder = await emptyFolder(t)
  const made = await run(folder, ['init'], REPOSITORY)
  assert.deepEqual({ code: made.code, stderr: made.stderr }, { code: 0, stderr: '' })
  assert.match(made.stdout, /^repository [0-9a-f]{8} is created at repository\n/)

  const again = await run(folder, ['init'], REPOSITORY)
  assert.equal(again.code, 1)
  assert.match(again.stderr, /^error: .+ already \(repository-exists\)\n {4}do: /)

  const points = await run(folder, ['points'], REPOSITORY)
  assert.deepEqual(points, { code: 0, stdout: 'no restore point yet\n', stderr: '' })

  const wrong = await run(folder, ['points', '-r', 'repository'], { RESTIC_PASSWORD: 'guess' })
  assert.equal(wrong.code, 12)
  assert.match(wrong.stderr, /\(wrong-password\)$/m)
  assert.ok(!`${wrong.stderr}${wrong.stdout}`.includes('guess'))

  const none = await run(folder, ['points', '-r', 'elsewhere'], { RESTIC_PASSWORD: 'x' })
  assert.equal(none.code, 10)
})

test('a mistake in the command line is exit code 2 and one clear sentence', async (t) => {
  const folder = await emptyFolder(t)
  const ended = await run(folder, ['backup', '--requre', 'crash'])
  assert.deepEqual(ended, {
    code: 2, stdout: '',
    stderr: 'error: unknown option \'--requre\' (usage)\n    do: Did you mean --require?\n',
  })
})

test('sockets that are not there are a fault with advice, and no stack', async (t) => {
  const folder = await emptyFolder(t)
  const ended = await run(folder, ['machines', '--on', 'qemu:qmp=nowhere'])
  assert.equal(ended.code, 1)
  assert.match(ended.stderr, /^error: .+ \(platform-unreachable\)$/m)
  assert.match(ended.stderr, /^ {4}do: /m)
  assert.doesNotMatch(ended.stderr, /^ +at /m)
})

test('a fault with --json is one object on stdout', async (t) => {
  const folder = await emptyFolder(t)
  const ended = await run(folder, ['points', '--json', '-r', 'elsewhere'], { RESTIC_PASSWORD: 'x' })
  assert.equal(ended.code, 10)
  assert.equal(ended.stderr, '')
  const error: unknown = JSON.parse(ended.stdout)
  assert.ok(isJsonObject(error))
  assert.equal(error['message_type'], 'error')
  assert.equal(error['code'], 'no-repository')
  assert.equal(error['exitCode'], 10)
})

test('the configuration is found in the working folder, and its mistakes by line', async (t) => {
  const folder = await emptyFolder(t)
  const file = join(folder, 'stillpoint.yaml')
  await writeFile(file, 'repository:\n  path: repository\n  passwordFile: password\n')
  assert.equal((await run(folder, ['init'])).code, 0)
  assert.equal((await run('/', ['points', '--config', file])).code, 0)
  await writeFile(file, 'repository:\n  pth: repository\n')
  const ended = await run(folder, ['points'])
  assert.equal(ended.code, 2)
  assert.equal(ended.stderr, `error: ${file} line 2: repository: unknown key "pth" ` +
    '(config-invalid)\n    do: Did you mean "path"?\n')
})

test('a signal ends a run with 130, and nothing it has started goes on', async (t) => {
  const folder = await emptyFolder(t)
  // The command is a child of the program: it can tell when to interrupt its parent.
  const command = `sh -c 'kill -INT $PPID; exec sleep 600'`
  const ended = await run(folder, ['init', '-r', 'repository', '--password-command', command])
  assert.equal(ended.code, 130)
  assert.match(ended.stderr, /^interrupted: cleaning up/m)
  assert.match(ended.stderr, /^error: interrupted by SIGINT \(interrupted\)$/m)
})

test('a reader that goes away does not end the program with an error', async (t) => {
  const folder = await emptyFolder(t)
  const ended = await new Promise<Ended>((resolve, reject) => {
    const shell = spawn('bash', ['-c', `set -o pipefail; "${PROGRAM}" --help | true`], {
      cwd: folder, env: quietEnvironment() })
    let stderr = ''
    shell.stderr.on('data', (data: Buffer) => { stderr += data.toString() })
    shell.on('error', reject)
    shell.on('close', (code) => resolve({ code, stdout: '', stderr }))
  })
  assert.deepEqual(ended, { code: 0, stdout: '', stderr: '' })
})
