/** A store in memory that behaves as a real one: for tests and for a demo without a disk. */

import { throwIfAborted } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import { pathOf } from '../file-name.ts'
import type { FileKind, Storage, StorageFile } from '../storage.ts'

/** An empty store; it forgets everything when the process ends, nothing when it is disposed. */
export function openMemoryStorage(name = 'memory'): Storage {
  const files = new Map<string, { file: StorageFile; bytes: Uint8Array<ArrayBuffer> }>()

  return {
    location: name,

    create: async (signal) => throwIfAborted(signal),

    put: async (file, parts, signal) => {
      const path = pathOf(file)
      throwIfAborted(signal)
      if (files.has(path)) throw new Fault('already-exists', `${path} exists already in ${name}`)
      files.set(path, { file, bytes: joined(parts) })
    },

    get: async (file, options, signal) => {
      const path = pathOf(file)
      throwIfAborted(signal)
      const bytes = files.get(path)?.bytes
      if (bytes === undefined) throw new Fault('not-found', `${path} is not in ${name}`)
      const { range, maxBytes = Infinity } = options
      if (range === undefined) {
        if (bytes.length <= maxBytes) return bytes.slice()
        throw new Fault('repository-damaged', `${path} has ${bytes.length} bytes, over ${maxBytes}`)
      }
      const end = range.offset + range.length
      if (end <= bytes.length) return bytes.slice(range.offset, end)
      throw new Fault('repository-damaged', `${path} ends at byte ${bytes.length}, before ${end}`)
    },

    list: (kind, signal) => list(kind, signal),

    remove: async (file, signal) => {
      const path = pathOf(file)
      throwIfAborted(signal)
      files.delete(path)
    },

    [Symbol.asyncDispose]: async () => {},
  }

  async function* list(kind: FileKind, signal: AbortSignal): ReturnType<Storage['list']> {
    throwIfAborted(signal)
    for (const { file, bytes } of files.values()) {
      if (file.kind === kind) yield { name: file.name, sizeBytes: bytes.length }
    }
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(parts.reduce((size, part) => size + part.length, 0))
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}
