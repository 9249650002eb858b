import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { WaitingThreads } from './waiting-threads.ts'

/** Notes the threads that it starts; each waits for a message. */
function starter(): { readonly started: Worker[]; readonly start: () => Worker } {
  const started: Worker[] = []
  const start = (): Worker => {
    const worker = new Worker('require("node:worker_threads").parentPort.on("message", () => {})',
      { eval: true })
    started.push(worker)
    return worker
  }
  return { started, start }
}

const hasEnded = (worker: Worker | undefined): boolean => worker?.threadId === -1

test('those that nobody took end with it, and those that were taken stay', async () => {
  const { started, start } = starter()
  {
    await using threads = new WaitingThreads(start, 2)
    assert.ok(threads.take() === started[0])
  }
  assert.deepEqual(started.map(hasEnded), [false, true])
  await started[0]?.terminate()
})

test('one that ended while it waited is not handed out', async () => {
  const { started, start } = starter()
  await using threads = new WaitingThreads(start, 1)
  await started[0]?.terminate()
  const taken = threads.take()
  assert.ok(taken === started[1])
  await taken.terminate()
})

test('one that fails while it waits is no concern of anybody', async () => {
  const worker = new Worker('throw new Error("no")', { eval: true })
  await using threads = new WaitingThreads(() => worker, 1)
  await new Promise((resolve) => worker.once('exit', resolve))
  assert.ok(threads.take() === worker, 'a new one, of which there is but this')
})
