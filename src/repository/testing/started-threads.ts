/** Which threads a test starts, and whether they have ended. */

import type { TestContext } from 'node:test'
import type { Worker } from 'node:worker_threads'

/** Every thread that starts from here on; node tells of it in the next tick. */
export function startedThreads(t: TestContext): readonly Worker[] {
  const started: Worker[] = []
  const note = (worker: Worker): void => void started.push(worker)
  process.on('worker', note)
  t.after(() => process.off('worker', note))
  return started
}

export function hasEnded({ threadId }: Worker): boolean {
  return threadId === -1
}
