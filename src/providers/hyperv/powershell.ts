/**
 * Asks a Hyper-V host by small scripts (docs/decisions/0007-hyperv-by-scripts.md). Each is a file
 * beside this one: one JSON object goes in, one comes out. What goes in is plain ASCII, so that no
 * code page can change it, and nothing of it ever becomes a part of a command.
 */

import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { deadline, throwIfAborted, type Clock } from '../../base/clock.ts'
import { Fault, isFault } from '../../base/fault.ts'
import { parseJson } from '../../base/json.ts'
import { quietEnvironment, runProgram } from '../../base/program.ts'
import { printable } from '../../base/text.ts'

export const SCRIPTS = [
  'survey', 'checkpoint', 'job', 'convert', 'destroy-checkpoint', 'destroy-reference-point',
  'changes', 'events',
] as const
export type ScriptName = (typeof SCRIPTS)[number]

/** PowerShell starts in a second or two; a host with hundreds of machines answers in a minute. */
const SCRIPT_MS = 120_000
const MAX_OUTPUT = 64 * 1024 * 1024
const LIMITS = { maxBytes: MAX_OUTPUT, maxDepth: 16 }
/** What programs of Windows need to start at all. */
const WINDOWS_VARIABLES = [
  'SystemRoot', 'SystemDrive', 'ProgramData', 'ProgramFiles', 'PSModulePath', 'TEMP', 'TMP',
  'COMPUTERNAME', 'USERPROFILE', 'PATHEXT', 'windir',
]

const answerSchema = z.discriminatedUnion('ok', [
  z.object({ ok: z.literal(true), result: z.unknown() }),
  z.object({ ok: z.literal(false), error: z.object({
    message: z.string().max(100_000), kind: z.string().max(1000),
    category: z.string().max(1000), code: z.number() }) }),
])

/** Runs a script with what goes in; what it printed. Faults: `platform-*`, the signal's reason. */
export type RunScript = (
  script: ScriptName, input: string, signal: AbortSignal) => Promise<Uint8Array>

export class HypervHost {
  readonly clock: Clock
  readonly #run: RunScript

  constructor(run: RunScript, clock: Clock) {
    this.#run = run
    this.clock = clock
  }

  /**
   * Runs one script. What an abort leaves behind: the script is ended, what it had begun at the
   * host goes on. Faults: `platform-unreachable` (no PowerShell, no Hyper-V module),
   * `platform-refused` (the host's words), `platform-protocol`, `machine-not-found`, `timed-out`,
   * the signal's reason.
   */
  async ask<T>(
    script: ScriptName, input: object, schema: z.ZodType<T>, signal: AbortSignal): Promise<T> {
    throwIfAborted(signal)
    using limit = deadline(this.clock, SCRIPT_MS, `the script ${script}`, signal)
    const stdout = await this.#run(script, asciiJson(input), limit.signal)
    const answer = answerSchema.safeParse(
      parseJson(withoutMark(stdout), `the answer of ${script}`, 'platform-protocol', LIMITS))
    if (!answer.success) throw nonsense(script)
    if (!answer.data.ok) throw refusal(script, answer.data.error)
    const result = schema.safeParse(answer.data.result)
    if (!result.success) {
      const [issue] = result.error.issues
      throw nonsense(script, issue === undefined ? '' : `${issue.path.join('.')}: ${issue.message}`)
    }
    return result.data
  }
}

/** By a PowerShell of this host, of Windows 5.1 or 7. */
export function powershell(program: string): RunScript {
  return async (script, input, signal) => {
    const path = fileURLToPath(new URL(`./scripts/${script}.ps1`, import.meta.url))
    try {
      const { stdout } = await runProgram(program,
        ['-NoProfile', '-NonInteractive', '-ExecutionPolicy', 'Bypass', '-File', path],
        { signal, input, maxOutputBytes: MAX_OUTPUT, env: quietEnvironment(WINDOWS_VARIABLES) })
      return stdout
    } catch (cause) {
      if (isFault(cause, 'program-missing')) {
        throw new Fault('platform-unreachable', 'there is no PowerShell on this host', {
          cause, advice: 'Run Stillpoint on the Hyper-V host itself.' })
      }
      if (isFault(cause, 'program-failed')) {
        throw new Fault('platform-protocol', 'PowerShell did not answer', { cause })
      }
      throw cause
    }
  }
}

/** What is not ASCII is escaped. */
export function asciiJson(input: object): string {
  return JSON.stringify(input).replace(/[\u007f-\uffff]/g, (char) =>
    `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

function withoutMark(bytes: Uint8Array): Uint8Array {
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? bytes.subarray(3) : bytes
}

function nonsense(script: string, detail = ''): Fault {
  return new Fault('platform-protocol',
    `the script ${script} answered what cannot be understood${
      detail === '' ? '' : `: ${printable(detail)}`}`)
}

function refusal(
  script: string, { message, kind, category }: { message: string; kind: string; category: string },
): Fault {
  const said = printable(message.trim(), 400)
  if (kind === 'CommandNotFoundException') {
    return new Fault('platform-unreachable', `the Hyper-V module is not there: ${said}`, {
      advice: 'Install the Hyper-V management tools for PowerShell on this host.' })
  }
  if (kind === 'ItemNotFoundException' || category === 'ObjectNotFound') {
    return new Fault('machine-not-found', `Hyper-V does not know it: ${said}`)
  }
  if (category === 'PermissionDenied' || kind === 'UnauthorizedAccessException') {
    return new Fault('platform-refused', `Hyper-V does not allow ${script}: ${said}`, {
      advice: 'Run as a member of Hyper-V Administrators, elevated.' })
  }
  return new Fault('platform-refused', `Hyper-V refused ${script}: ${said}`)
}
