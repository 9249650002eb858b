/** Jobs of Hyper-V: waiting for one, and what its numbers mean (Msvm_ConcreteJob, CIM). */

import { throwIfAborted } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import { printable } from '../../base/text.ts'
import { jobSchema, startedSchema } from './host-answers.ts'
import type { HypervHost, ScriptName } from './powershell.ts'

const STARTED = 4096
const COMPLETED = 7
const COMPLETED_WITH_WARNINGS = 32_768
/** New, starting, running, shutting down. */
const UNDER_WAY: ReadonlySet<number> = new Set([2, 3, 4, 6])

/** Pauses between looks: a checkpoint takes seconds, a merge minutes. */
const FIRST_PAUSE_MS = 500
const MAX_PAUSE_MS = 5_000

/** ReturnValue and ErrorCode of methods of root\virtualization\v2. */
const NUMBERS: Readonly<Record<number, string>> = {
  1: 'it is not supported', 2: 'it failed', 3: 'it took too long', 4: 'a parameter is wrong',
  5: 'the state does not allow it', 6: 'the type is wrong',
  32_768: 'it failed', 32_769: 'access is denied', 32_770: 'it is not supported',
  32_771: 'its state is not known', 32_772: 'it took too long', 32_773: 'a parameter is wrong',
  32_774: 'the machine is in use', 32_775: 'the machine\'s state does not allow it',
  32_776: 'the type is wrong', 32_777: 'the machine is not available',
  32_778: 'the host is out of memory', 32_779: 'a file was not found',
}

/** Something to be done with a machine at the host. */
export interface HostTask {
  readonly script: ScriptName
  readonly input: object
  /** `the checkpoint`: for the fault. */
  readonly doing: string
  readonly limitMs: number
}

/**
 * Starts something and waits until it has ended; the ids of checkpoints that it made. What an
 * abort leaves behind: it goes on at the host. Faults: `platform-refused` with the number and
 * the host's words, `timed-out`, `platform-*`.
 */
export async function runTask(
  host: HypervHost, { script, input, doing, limitMs }: HostTask, signal: AbortSignal,
): Promise<readonly string[]> {
  const started = await host.ask(script, input, startedSchema, signal)
  if (started.returnValue !== STARTED) {
    if (started.returnValue === 0) return []
    throw refused(doing, started.returnValue, '')
  }
  if (started.job === null) {
    throw new Fault('platform-protocol', `Hyper-V named no job for ${doing}`)
  }
  const startMs = host.clock.monotonicMs()
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(MAX_PAUSE_MS, pauseMs * 2)) {
    throwIfAborted(signal)
    const job = await host.ask('job', { job: started.job }, jobSchema, signal)
    if (job.state === COMPLETED || job.state === COMPLETED_WITH_WARNINGS) {
      return job.made
    }
    if (!UNDER_WAY.has(job.state)) throw refused(doing, job.errorCode, job.error)
    if (host.clock.monotonicMs() - startMs > limitMs) {
      throw new Fault('timed-out', `${doing} did not end within ${limitMs / 60_000} minutes`, {
        retry: 'later', advice: 'See Hyper-V Manager: it may still be at work.' })
    }
    await host.clock.sleep(pauseMs, signal)
  }
}

function refused(doing: string, number: number, words: string): Fault {
  const meaning = NUMBERS[number] ?? 'for a reason that has no name'
  const said = words.trim() === '' ? '' : `: ${printable(words.trim(), 400)}`
  return new Fault('platform-refused',
    `Hyper-V did not carry out ${doing}: ${meaning} (${number})${said}`, {
      retry: number === 32_774 || number === 32_775 ? 'later' : 'never' })
}
