/** Asks Windows something through PowerShell: one script, one JSON object. */

import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { checked } from '../../base/checked.ts'
import { deadline, type Clock } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import { parseJson } from '../../base/json.ts'
import { quietEnvironment, runProgram } from '../../base/program.ts'
import { printable } from '../../base/text.ts'
import type { Command } from './diskshadow/held-script.ts'

/** PowerShell starts in seconds; a host with many disks answers in half a minute. */
const SCRIPT_MS = 120_000
const LIMITS = { maxBytes: 1024 * 1024, maxDepth: 8 }

/** What is asked for: each has a script of that name. */
export type HostList = 'volumes' | 'services'

const refusalSchema = z.object({ ok: z.literal(false), message: z.string().max(10_000) })

/** What the script printed, UTF-8 without a mark. Faults: `program-*`, `timed-out`. */
export async function runHostScript(
  list: HostList, powershell: Command, clock: Clock, signal: AbortSignal): Promise<Uint8Array> {
  using limit = deadline(clock, SCRIPT_MS, nameOf(list), signal)
  const script = fileURLToPath(new URL(`./scripts/${list}.ps1`, import.meta.url))
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

/** What a script answered, by the schema of `ok: true`. Faults: `platform-refused`, `-protocol`. */
export function parseHostAnswer<Answer>(
  list: HostList, schema: z.ZodType<Answer>, stdout: Uint8Array): Answer {
  const answer = parseJson(stdout, nameOf(list), 'platform-protocol', LIMITS)
  const refusal = refusalSchema.safeParse(answer)
  if (!refusal.success) return checked(schema, answer, nameOf(list), 'platform-protocol')
  throw new Fault('platform-refused', `Windows lists no ${list}: ${
    printable(refusal.data.message, 300)}`, { advice: 'Run it from an elevated shell.' })
}

function nameOf(list: HostList): string {
  return `the list of ${list}`
}
