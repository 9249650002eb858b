/** A process that holds an application until a test kills or stops it. */

import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'

export interface Holder extends AsyncDisposable {
  readonly child: ChildProcess
}

/** Runs `program` with Node; resolves once it has printed `line`. Killed when it is disposed. */
export async function startHolderProcess(
  program: string, args: readonly string[], line: string): Promise<Holder> {
  const child = spawn(process.execPath, [program, ...args], { stdio: ['pipe', 'pipe', 'inherit'] })
  let printed = ''
  for await (const chunk of child.stdout.setEncoding('utf8').iterator({ destroyOnReturn: false })) {
    printed += String(chunk)
    if (printed.includes(`${line}\n`)) break
  }
  assert.ok(printed.includes(`${line}\n`), `it ended before it was ${line}`)
  return {
    child,
    [Symbol.asyncDispose]: async () => {
      const isGone = child.exitCode !== null || child.signalCode !== null
      const gone = isGone ? Promise.resolve() : once(child, 'exit')
      child.kill('SIGKILL')
      await gone
    },
  }
}
