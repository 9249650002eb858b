/** Asks Windows something through PowerShell: one script, one JSON object. */

import { fileURLToPath } from 'node:url'
import { deadline, type Clock } from '../../base/clock.ts'
import { quietEnvironment, runProgram } from '../../base/program.ts'
import type { Command } from './diskshadow/held-script.ts'

/** PowerShell starts in seconds; a host with many disks answers in half a minute. */
const SCRIPT_MS = 120_000

/**
 * What the script of that name printed, UTF-8 without a mark. `what` it is about, for faults:
 * `program-*`, `timed-out`.
 */
export async function runHostScript(
  name: 'volumes' | 'services', what: string, powershell: Command, clock: Clock,
  signal: AbortSignal,
): Promise<Uint8Array> {
  using limit = deadline(clock, SCRIPT_MS, what, signal)
  const script = fileURLToPath(new URL(`./scripts/${name}.ps1`, import.meta.url))
  const { stdout } = await runProgram(powershell.program, [
    ...powershell.args, '-NoProfile', '-NonInteractive', '-ExecutionPolicy', 'Bypass',
    '-File', script,
  ], {
    signal: limit.signal,
    env: quietEnvironment(['SystemRoot', 'SystemDrive', 'ProgramFiles', 'PSModulePath', 'TEMP',
      'TMP', 'PATHEXT', 'windir', 'USERPROFILE']),
  })
  return stdout[0] === 0xef && stdout[1] === 0xbb ? stdout.subarray(3) : stdout
}
