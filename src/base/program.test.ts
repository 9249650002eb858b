import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Fault } from './fault.ts'
import { runProgram } from './program.ts'

const never = new AbortController().signal
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString()

test('a program gets its input and gives its output', async () => {
  const { stdout, code } = await runProgram('cat', [], { signal: never, input: 'hello' })
  assert.deepEqual([text(stdout), code], ['hello', 0])
})

test('a missing program, a failing one and a talkative one are faults of their own', async () => {
  const run = (program: string, args: readonly string[]): Promise<unknown> =>
    runProgram(program, args, { signal: never, maxOutputBytes: 1000 })
  await assert.rejects(run('no-such-program-x', []), { code: 'program-missing' })
  await assert.rejects(run('sh', ['-c', 'echo bad\u001b >&2; exit 3']), {
    code: 'program-failed', message: 'sh ended with exit code 3: bad\\x1b' })
  await assert.rejects(run('yes', []), { code: 'program-failed', message: 'yes printed too much' })
})

test('an exit code that is expected is no fault', async () => {
  const { code } = await runProgram('sh', ['-c', 'exit 3'], { signal: never, okCodes: [0, 3] })
  assert.equal(code, 3)
})

test('an abort kills the program and rejects with the reason', async () => {
  const controller = new AbortController()
  const run = runProgram('sleep', ['60'], { signal: controller.signal })
  controller.abort(new Fault('interrupted', 'stop'))
  await assert.rejects(run, { code: 'interrupted' })
})

test('the environment of this process does not leak into a program', async () => {
  const { stdout } = await runProgram('env', [], { signal: never })
  const names = text(stdout).trim().split('\n').map((line) => line.replace(/=.*/, ''))
  assert.deepEqual(names.filter((name) => name !== '_').toSorted(), ['HOME', 'LC_ALL', 'PATH'])
})
