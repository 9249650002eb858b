/**
 * Which components of a writer failed: asked of a writer that is not in order, and of no other. The
 * answers are for people, who look for the database or the machine that is meant; what a writer is
 * worth is said by its state alone.
 */

import { isFault } from '../../../base/fault.ts'
import type { Log } from '../../../base/log.ts'
import { printable } from '../../../base/text.ts'
import { describeHresult, S_OK } from './hresult.ts'
import type { FailedComponent, VssBackup } from './transport.ts'

/** By instance; a writer that could not be asked is not in it. */
export type FailedComponents = ReadonlyMap<string, readonly FailedComponent[]>

const ASK_MS = 60_000

/** The steps of a session, as `Steps` takes and notes them. */
interface NotedSteps {
  take<T>(step: string, limitMs: number, act: (signal: AbortSignal) => Promise<T>): Promise<T>
  note(step: string, ended: string): void
}

/** Reports instead of throwing: nothing of a backup hangs on it. */
export async function askFailedComponents(
  backup: VssBackup, troubled: readonly { readonly instanceId: string; readonly name: string }[],
  steps: NotedSteps, log: Log,
): Promise<FailedComponents> {
  const answers = new Map<string, readonly FailedComponent[]>()
  if (backup.failedComponents === undefined) return answers
  for (const { instanceId, name } of troubled) {
    try {
      const failed = await steps.take('GetWriterComponents', ASK_MS, (limit) =>
        backup.failedComponents?.(instanceId, limit) ?? Promise.resolve([]))
      answers.set(instanceId, failed)
      for (const it of failed.slice(0, MAX_SHOWN)) {
        const says = describeFailed(it)
        steps.note(`component of ${printable(name, 60)}`, says)
        log.warn('vss.component-failed', { writer: printable(name, 60), component: says })
      }
    } catch (error) {
      if (!isFault(error)) throw error
      log.warn('vss.components-not-asked', { reason: printable(error.message) })
    }
  }
  return answers
}

/** Of one writer, in a line. */
const MAX_SHOWN = 5
const MAX_PATH = 100
const MAX_MESSAGE = 200
/** What is made harmless grows: a character may become six. */
const MAX_ONE = 500
const MAX_ALL = 1000

/** One component in words; what is foreign in it is cut and made harmless. */
export function describeFailed(
  { component, failure, applicationFailure, messages }: FailedComponent): string {
  const { logicalPath, name } = component
  const path = logicalPath === null || logicalPath === '' ? name : `${logicalPath}\\${name}`
  const says = [
    ...failure === S_OK ? [] : [describeHresult(failure)],
    ...applicationFailure === S_OK ? []
      : [`the application's own ${describeHresult(applicationFailure)}`],
    ...messages.map((text) => `"${printable(text, MAX_MESSAGE)}"`),
  ]
  return cut(`${printable(path, MAX_PATH)} failed${
    says.length === 0 ? '' : `: ${says.join(', ')}`}`, MAX_ONE)
}

/** The first few, for a sentence that goes on; empty if there is none. */
export function failedInWords(failed: readonly FailedComponent[] | undefined): string {
  if (failed === undefined || failed.length === 0) return ''
  const more = failed.length > MAX_SHOWN ? `; and ${failed.length - MAX_SHOWN} more` : ''
  return `; ${cut(failed.slice(0, MAX_SHOWN).map(describeFailed).join('; '), MAX_ALL)}${more}`
}

function cut(words: string, limit: number): string {
  return words.length > limit ? `${words.slice(0, limit)}…` : words
}
