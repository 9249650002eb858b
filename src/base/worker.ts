/** Starts worker threads and helper processes from the source tree (`.ts`) or `dist/` (`.js`). */

import { fileURLToPath } from 'node:url'
import { Worker, type WorkerOptions } from 'node:worker_threads'

/**
 * The file of a sibling module: `./seal-worker` beside `meta` with the extension that `meta`
 * itself has, so that it is found in the source tree and in `dist/`.
 */
export function siblingModule(name: string, meta: ImportMeta): string {
  const extension = meta.url.endsWith('.ts') ? '.ts' : '.js'
  return fileURLToPath(new URL(name + extension, meta.url))
}

/** Starts `name` (as `siblingModule` finds it) as a worker thread. The caller terminates it. */
export function startWorker(name: string, meta: ImportMeta, options: WorkerOptions = {}): Worker {
  return new Worker(siblingModule(name, meta), options)
}
