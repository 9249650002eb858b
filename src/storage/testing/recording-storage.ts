/** Records what changed a store, to look at it later as a crash after any step would leave it. */

import { pathOf } from '../file-name.ts'
import type { Storage, StorageFile } from '../storage.ts'
import { openMemoryStorage } from './memory-storage.ts'

/** One change that took effect, in the order they did. */
export type RecordedOperation =
  | { readonly type: 'put'; readonly file: StorageFile; readonly bytes: Uint8Array }
  | { readonly type: 'remove'; readonly file: StorageFile }

/** `inner`, and the growing list of what was changed through it. Disposes `inner`. */
export function recordingStorage(
  inner: Storage): Storage & { readonly operations: readonly RecordedOperation[] } {
  const operations: RecordedOperation[] = []
  return {
    location: inner.location,
    operations,
    create: (signal) => inner.create(signal),
    put: async (file, parts, signal) => {
      const bytes = new Uint8Array(Buffer.concat(parts))
      await inner.put(file, parts, signal)
      operations.push({ type: 'put', file, bytes })
    },
    get: (file, options, signal) => inner.get(file, options, signal),
    list: (kind, signal) => inner.list(kind, signal),
    remove: async (file, signal) => {
      await inner.remove(file, signal)
      operations.push({ type: 'remove', file })
    },
    [Symbol.asyncDispose]: () => inner[Symbol.asyncDispose](),
  }
}

/**
 * A memory store as it stands after `operations`. A file that is put twice, as two stores'
 * operations joined may do, keeps its first content.
 */
export async function replay(operations: readonly RecordedOperation[]): Promise<Storage> {
  const signal = new AbortController().signal
  const storage = openMemoryStorage('replay')
  const present = new Set<string>()
  for (const operation of operations) {
    const path = pathOf(operation.file)
    if (operation.type === 'remove') {
      await storage.remove(operation.file, signal)
      present.delete(path)
    } else if (!present.has(path)) {
      await storage.put(operation.file, [operation.bytes], signal)
      present.add(path)
    }
  }
  return storage
}
