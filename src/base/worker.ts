/**
 * Starts worker threads and helper processes from the source tree (`.ts`) or `dist/` (`.js`), and
 * ends threads.
 */

import { fileURLToPath } from 'node:url'
import { Worker, type MessagePort, type WorkerOptions } from 'node:worker_threads'

/**
 * The file of a sibling module: `./seal-worker` beside `meta` with the extension that `meta`
 * itself has, so that it is found in the source tree and in `dist/`.
 */
export function siblingModule(name: string, meta: ImportMeta): string {
  const extension = meta.url.endsWith('.ts') ? '.ts' : '.js'
  return fileURLToPath(new URL(name + extension, meta.url))
}

/** Starts `name` (as `siblingModule` finds it) as a worker thread. The caller ends it. */
export function startWorker(name: string, meta: ImportMeta, options: WorkerOptions = {}): Worker {
  return new Worker(siblingModule(name, meta), options)
}

const END = 'end'

/**
 * Ends a thread that receives by `receiveUntilEnd`, once it has done what it was sent before.
 * `Worker.terminate` would stop it anywhere, and where that is in the middle of making an object of
 * zstd Node aborts the whole program ("close before init").
 */
export async function endThread(worker: Worker): Promise<void> {
  if (worker.threadId === -1) return // it ended by itself
  const ended = new Promise<void>((resolve) => { worker.once('exit', () => resolve()) })
  worker.postMessage(END, [])
  await ended
}

/** Within a thread: `receive` gets each message, until `endThread` is called. */
export function receiveUntilEnd(port: MessagePort, receive: (message: never) => void): void {
  port.on('message', (message: unknown) => {
    if (message === END) port.close()
    else receive(message as never)
  })
}
