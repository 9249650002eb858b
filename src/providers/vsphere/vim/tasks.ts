/** Waits for tasks of vSphere: told of each change by WaitForUpdatesEx, never asking in a loop. */

import { Fault } from '../../../base/fault.ts'
import type { VimClient } from './client.ts'
import { faultFrom } from './faults.ts'
import { localizedFault, morefElement, morefOf, textElement, type Moref } from './soap.ts'
import { childOf, childrenOf, textAt, type XmlElement } from '../../../base/xml.ts'

export interface TaskWait {
  /** Said of a failure: `vSphere refused DOING`. */
  readonly doing: string
  /** Past it nobody waits any longer; the task goes on. */
  readonly limitMs: number
  readonly onProgress?: (percent: number) => void
}

/** A server answers at the latest after so long, changed or not. */
const ROUND_SECONDS = 30
const ROUND_LIMIT_MS = 90_000

interface TaskState {
  state?: string
  error?: XmlElement
  result?: XmlElement
}

/**
 * Resolves with the task's result element, undefined where it has none. Faults: what the task
 * ended with (faults.ts), `timed-out`, `platform-*`. An abort leaves the task running.
 */
export async function taskResult(
  client: VimClient, task: Moref, wait: TaskWait, signal: AbortSignal,
): Promise<XmlElement | undefined> {
  const endsMs = client.clock.monotonicMs() + wait.limitMs
  try {
    // A collector belongs to its session; the task does not, so a new session goes on waiting.
    return await client.inSession(() => follow(client, task, wait, endsMs, signal), signal)
  } catch (error) {
    throw faultFrom(error, wait.doing)
  }
}

async function follow(
  client: VimClient, task: Moref, wait: TaskWait, endsMs: number, signal: AbortSignal,
): Promise<XmlElement | undefined> {
  const { port, services, clock } = client
  const made = await port.send('CreatePropertyCollector', services.propertyCollector, '',
    { changes: true }, signal)
  const collector = morefOf(childOf(made, 'returnval'), 'the collector of a task')
  try {
    await port.send('CreateFilter', collector,
      '<spec><propSet><type>Task</type><pathSet>info.state</pathSet>' +
      '<pathSet>info.error</pathSet><pathSet>info.result</pathSet>' +
      `<pathSet>info.progress</pathSet></propSet><objectSet>${morefElement('obj', task)}` +
      '</objectSet></spec><partialUpdates>false</partialUpdates>', { changes: true }, signal)
    const known: TaskState = {}
    for (let version = ''; ;) {
      const leftMs = endsMs - clock.monotonicMs()
      if (leftMs <= 0) {
        throw new Fault('timed-out',
          `${wait.doing} did not finish within ${wait.limitMs} ms`, { retry: 'later' })
      }
      const seconds = Math.max(1, Math.min(ROUND_SECONDS, Math.ceil(leftMs / 1000)))
      const answer = await port.send('WaitForUpdatesEx', collector,
        textElement('version', version) +
        `<options>${textElement('maxWaitSeconds', seconds)}</options>`,
        { limitMs: ROUND_LIMIT_MS }, signal)
      const update = childOf(answer, 'returnval')
      if (update === undefined) continue // nothing changed in that time
      version = textAt(update, 'version') ?? version
      noteChanges(update, known, wait)
      if (known.state === 'success') return known.result
      if (known.state === 'error') throw localizedFault(known.error)
    }
  } finally {
    await port.send('DestroyPropertyCollector', collector, '', { changes: true, limitMs: 5_000 },
      new AbortController().signal).catch(() => {}) // it ends with the session
  }
}

function noteChanges(update: XmlElement, known: TaskState, wait: TaskWait): void {
  const objects = childrenOf(update, 'filterSet').flatMap((set) => childrenOf(set, 'objectSet'))
  for (const object of objects) {
    if (textAt(object, 'kind') === 'leave') {
      throw new Fault('platform-protocol', `vSphere forgot the task of ${wait.doing}`)
    }
    for (const missing of childrenOf(object, 'missingSet')) {
      throw localizedFault(childOf(missing, 'fault'))
    }
    for (const change of childrenOf(object, 'changeSet')) {
      const value = childOf(change, 'val') // none: unset
      switch (textAt(change, 'name')) {
        case 'info.state': known.state = value?.text ?? ''; break
        case 'info.error': if (value !== undefined) known.error = value; break
        case 'info.result': if (value !== undefined) known.result = value; break
        case 'info.progress': noteProgress(value?.text, wait); break
        default: break
      }
    }
  }
}

function noteProgress(text: string | undefined, { onProgress }: TaskWait): void {
  if (text !== undefined && /^\d{1,3}$/.test(text)) onProgress?.(Math.min(100, Number(text)))
}
