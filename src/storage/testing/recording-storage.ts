/** Records what changed a store, to look at it later as a crash after any step would leave it. */

import { pathOf } from '../file-name.ts'
import type { Storage, StorageFile } from '../storage.ts'
import { openMemoryStorage } from './memory-storage.ts'

/**
 * One change that took effect, in the order they did. `begunAfter` of them had taken effect when it
 * was begun: what began before another was done might as well have taken effect before it.
 */
export type RecordedOperation = { readonly file: StorageFile; readonly begunAfter: number } & (
  | { readonly type: 'put'; readonly bytes: Uint8Array }
  | { readonly type: 'remove' })

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
      const begunAfter = operations.length
      await inner.put(file, parts, signal)
      operations.push({ type: 'put', file, bytes, begunAfter })
    },
    get: (file, options, signal) => inner.get(file, options, signal),
    list: (kind, signal) => inner.list(kind, signal),
    remove: async (file, signal) => {
      const begunAfter = operations.length
      await inner.remove(file, signal)
      operations.push({ type: 'remove', file, begunAfter })
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

/** More changes at once than this are not combined in every way. */
const MAX_COMBINED = 4

/**
 * What a crash may leave, from after the first `from` changes on: each time, all changes that were
 * done, and any of those under way. Of more than four under way some ways are left out.
 */
export function* crashStates(
  operations: readonly RecordedOperation[], from: number,
): Generator<readonly RecordedOperation[], void, undefined> {
  const seen = new Set<string>()
  for (let done = from; done <= operations.length; done++) {
    const underWay = operations.slice(done).filter(({ begunAfter }) => begunAfter <= done)
    for (const some of subsets(underWay)) {
      const state = [...operations.slice(0, done), ...some]
      const key = state.map((operation) => operations.indexOf(operation))
        .toSorted((a, b) => a - b).join()
      if (seen.has(key)) continue
      seen.add(key)
      yield state
    }
  }
}

function* subsets<T>(items: readonly T[]): Generator<readonly T[], void, undefined> {
  if (items.length > MAX_COMBINED) {
    yield []
    yield items
    for (const item of items) {
      yield [item]
      yield items.filter((other) => other !== item)
    }
    return
  }
  for (let bits = 0; bits < 2 ** items.length; bits++) {
    yield items.filter((_, at) => (bits >>> at) % 2 === 1)
  }
}
