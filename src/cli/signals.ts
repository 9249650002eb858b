/** Ctrl-C and its like: the first asks, the second insists. */

import type { EventEmitter } from 'node:events'
import { Fault } from '../base/fault.ts'
import type { TextSink } from './world.ts'

/** Also when the terminal is closed: a snapshot left in a machine would fill its disks. */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

const INTERRUPTED = 130

/** The parts of `process` that are needed. */
export interface SignalSource extends Pick<EventEmitter, 'on'> {
  exit(code: number): void
}

/**
 * A signal that aborts when the process is told to end; clean-up then runs. Told once more, the
 * process ends at once: the guardian still thaws, but a snapshot may stay until the next run.
 */
export function listenToSignals(source: SignalSource, stderr: TextSink): AbortSignal {
  const controller = new AbortController()
  const onSignal = (name: string): void => {
    if (controller.signal.aborted) {
      stderr.write('\nwarning: stopped at once; what was set up in the machine is taken down by ' +
        'its guardian, or by the next run\n')
      source.exit(INTERRUPTED)
      return
    }
    controller.abort(new Fault('interrupted', `interrupted by ${name}`))
  }
  for (const name of SIGNALS) source.on(name, () => onSignal(name))
  return controller.signal
}
