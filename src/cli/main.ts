/** Entry point: the only place that reads the environment and listens to signals. */

import { hostname, userInfo } from 'node:os'
import { systemClock } from '../base/clock.ts'
import { systemRandom } from '../base/random.ts'
import { systemRegistry } from '../engine/mod.ts'
import { askPasswordOn } from './ask-password.ts'
import { errorText, reportOf } from './errors.ts'
import { listenToSignals } from './signals.ts'
import { runCli } from './program.ts'
import { readVersion } from './version.ts'
import type { TextSink } from './world.ts'

function sinkOf(stream: NodeJS.WriteStream): TextSink {
  // A reader that goes away (`| head`, a closed terminal) must not end a backup half-way.
  stream.on('error', () => {})
  return { write: (text) => void stream.write(text), isTerminal: stream.isTTY }
}

function nameOfUser(): string {
  try {
    return userInfo().username
  } catch {
    return String(process.getuid?.() ?? 'unknown') // a user without an entry, as in containers
  }
}

const stderr = sinkOf(process.stderr)
const canDraw = process.stderr.isTTY && process.env['TERM'] !== 'dumb'
const environment = Object.fromEntries(
  Object.entries(process.env).filter((entry): entry is [string, string] => entry[1] !== undefined))

// A mistake of ours in something that nobody waits for. The guardian thaws what is held.
process.on('uncaughtException', (error) => {
  const report = reportOf(error)
  if (report !== undefined) stderr.write(`${errorText(report)}\n`)
  if (process.argv.includes('--verbose')) stderr.write(`${error.stack ?? ''}\n`)
  process.exit(1)
})

process.exitCode = await runCli(process.argv.slice(2), {
  stdout: sinkOf(process.stdout),
  stderr,
  barStream: canDraw ? process.stderr : undefined,
  environment,
  workingDir: process.cwd(),
  hostname: hostname(),
  username: nameOfUser(),
  version: readVersion(),
  clock: systemClock,
  random: systemRandom,
  registry: systemRegistry,
  askPassword: process.stdin.isTTY ? askPasswordOn(process.stdin, stderr) : undefined,
  signal: listenToSignals(process, stderr),
})
