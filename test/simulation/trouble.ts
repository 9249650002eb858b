/** Stores that do something at their n-th operation, to try all n. */

import { Fault } from '../../src/base/fault.ts'
import type { Storage } from '../../src/storage/mod.ts'

export type Operation = 'put' | 'get' | 'list' | 'remove'

/** Called with the number of each operation, from 0; what it throws the store fails with. */
export type OnOperation = (n: number, operation: Operation) => void | Promise<void>

/** `inner`, with `before` and `after` called around each operation. */
export function watched(
  inner: Storage, before: OnOperation, after: OnOperation = () => {}): Storage {
  let count = 0
  const around = async <T>(operation: Operation, run: () => Promise<T>): Promise<T> => {
    const n = count++
    await before(n, operation)
    const result = await run()
    await after(n, operation)
    return result
  }
  return {
    location: inner.location,
    create: (signal) => inner.create(signal),
    put: (file, parts, signal) => around('put', () => inner.put(file, parts, signal)),
    get: (file, options, signal) => around('get', () => inner.get(file, options, signal)),
    remove: (file, signal) => around('remove', () => inner.remove(file, signal)),
    list: async function* (kind, signal) {
      yield* await around('list', () => Array.fromAsync(inner.list(kind, signal)))
    },
    [Symbol.asyncDispose]: () => inner[Symbol.asyncDispose](),
  }
}

/** Kinds of trouble that begin at operation `at`. */
export const TROUBLES = {
  'an error at one operation': (inner: Storage, at: number) => watched(inner, (n) => {
    if (n === at) throw new Fault('storage-failed', 'failed on purpose')
  }),
  'an answer that is lost': (inner: Storage, at: number) => watched(inner, () => {}, (n) => {
    if (n === at) throw new Fault('storage-failed', 'no answer, on purpose')
  }),
  'a connection that stays lost': (inner: Storage, at: number) => watched(inner, (n) => {
    if (n >= at) throw new Fault('storage-failed', 'lost on purpose')
  }),
  'a disk that is full': (inner: Storage, at: number) => watched(inner, (n, operation) => {
    if (n >= at && operation === 'put') throw new Fault('no-space', 'full on purpose')
  }),
} as const satisfies Readonly<Record<string, (inner: Storage, at: number) => Storage>>
