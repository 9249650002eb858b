/** What every store must do, as tests for `node:test`. */

import { strict as assert } from 'node:assert'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { Fault } from '../../base/fault.ts'
import { FILE_KINDS, type FileKind, type Storage, type StorageFile } from '../storage.ts'

const signal = new AbortController().signal

/**
 * Registers the contract's tests under `name`. `open` gives a fresh store without files, not yet
 * created, for each test; the contract disposes it.
 */
export function storageContract(name: string, open: () => Promise<Storage>): void {
  const contract = (claim: string, body: (storage: Storage) => Promise<void>): void => {
    void test(`${name}: ${claim}`, async () => {
      await using storage = await open()
      await storage.create(signal)
      await body(storage)
    })
  }
  namingContract(contract)
  readingContract(contract)
  changingContract(contract)
}

type Contract = (claim: string, body: (storage: Storage) => Promise<void>) => void

function namingContract(contract: Contract): void {
  contract('a new store is empty, and creating it again keeps its files', async (storage) => {
    for (const kind of FILE_KINDS) assert.deepEqual(await namesOf(storage, kind), [])
    const file = await store(storage, 'index', 'one')
    await storage.create(signal)
    assert.deepEqual(await namesOf(storage, 'index'), [file.name])
  })

  contract('each kind lists its own files, with sizes', async (storage) => {
    for (const kind of FILE_KINDS) {
      const first = await store(storage, kind, `${kind} 1`)
      const second = kind === 'config' ? first : await store(storage, kind, `${kind} two`)
      const listed = await sizesOf(storage, kind)
      assert.equal(listed.get(first.name), `${kind} 1`.length)
      assert.equal(listed.has(second.name), true)
      assert.equal(listed.size, kind === 'config' ? 1 : 2)
    }
  })

  contract('a name that is not of the format is refused and stays inside', async (storage) => {
    const bad: StorageFile = { kind: 'data', name: '../../escaped' }
    await assert.rejects(storage.put(bad, [bytesOf('x')], signal), assert.AssertionError)
    await assert.rejects(storage.get(bad, {}, signal), assert.AssertionError)
    await assert.rejects(storage.remove(bad, signal), assert.AssertionError)
  })
}

function readingContract(contract: Contract): void {
  contract('parts are joined, and any range comes back exactly', async (storage) => {
    const file = fileFor('data', 'abcdef')
    await storage.put(file, ['ab', '', 'cde', 'f'].map(bytesOf), signal)
    assert.equal(text(await storage.get(file, {}, signal)), 'abcdef')
    for (let offset = 0; offset <= 6; offset++) {
      for (let length = 0; offset + length <= 6; length++) {
        const read = await storage.get(file, { range: { offset, length } }, signal)
        assert.equal(text(read), 'abcdef'.slice(offset, offset + length))
      }
    }
  })

  contract('a file larger than most buffers survives', async (storage) => {
    const bytes = new Uint8Array(3 * 1024 * 1024 + 1).map((_, i) => i ^ (i >> 8))
    const name = createHash('sha256').update(bytes).digest('hex')
    const file: StorageFile = { kind: 'data', name }
    await storage.put(file, [bytes.subarray(0, 1_000_003), bytes.subarray(1_000_003)], signal)
    assert.deepEqual(await storage.get(file, {}, signal), bytes)
  })

  contract('an empty file is a file', async (storage) => {
    const file = await store(storage, 'locks', '')
    assert.equal((await storage.get(file, {}, signal)).length, 0)
    assert.deepEqual(await namesOf(storage, 'locks'), [file.name])
  })

  contract('a range past the end is no short read but a fault', async (storage) => {
    const file = await store(storage, 'data', 'abc')
    for (const [offset, length] of [[0, 4], [3, 1], [9, 1]] as const) {
      const range = { offset, length }
      await assert.rejects(storage.get(file, { range }, signal), { code: 'repository-damaged' })
    }
  })

  contract('a whole file is bounded', async (storage) => {
    const file = await store(storage, 'index', 'abcd')
    assert.equal((await storage.get(file, { maxBytes: 4 }, signal)).length, 4)
    await assert.rejects(storage.get(file, { maxBytes: 3 }, signal), { code: 'repository-damaged' })
  })

  contract('a missing file is not found', async (storage) => {
    for (const kind of FILE_KINDS) {
      await assert.rejects(storage.get(fileFor(kind, 'x'), {}, signal), { code: 'not-found' })
    }
  })

  contract('one that was disposed opens again what it needs', async (storage) => {
    const file = await store(storage, 'data', 'abc')
    const range = { offset: 1, length: 1 }
    assert.equal(text(await storage.get(file, { range }, signal)), 'b')
    await storage[Symbol.asyncDispose]()
    assert.equal(text(await storage.get(file, { range }, signal)), 'b')
  })

  contract('bytes read and bytes given belong to the caller alone', async (storage) => {
    const given = bytesOf('abc')
    const file = fileFor('data', 'abc')
    await storage.put(file, [given], signal)
    given.fill(0)
    const read = await storage.get(file, {}, signal)
    assert.equal(read.buffer.byteLength, read.byteLength)
    structuredClone(read, { transfer: [read.buffer] })
    assert.equal(text(await storage.get(file, {}, signal)), 'abc')
  })
}

function changingContract(contract: Contract): void {
  contract('a name that is taken stays as it is', async (storage) => {
    for (const kind of FILE_KINDS) {
      const file = await store(storage, kind, 'first')
      const again = storage.put(file, [bytesOf('other')], signal)
      await assert.rejects(again, { code: 'already-exists' })
      assert.equal(text(await storage.get(file, {}, signal)), 'first')
      assert.equal((await namesOf(storage, kind)).length, 1)
    }
  })

  contract('of many puts of one name exactly one wins, whole', async (storage) => {
    const file: StorageFile = { kind: 'config', name: 'config' }
    const texts = Array.from({ length: 8 }, (_, n) => String(n).repeat(50_000))
    const outcomes = await Promise.allSettled(
      texts.map((text) => storage.put(file, [bytesOf(text)], signal)))
    assert.equal(outcomes.filter((outcome) => outcome.status === 'fulfilled').length, 1)
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') assert.equal(codeOf(outcome.reason), 'already-exists')
    }
    const winner = texts[outcomes.findIndex((outcome) => outcome.status === 'fulfilled')]
    assert.equal(text(await storage.get(file, {}, signal)), winner)
  })

  contract('a removed file is gone, and removing it again is no fault', async (storage) => {
    const file = await store(storage, 'snapshots', 'x')
    const other = await store(storage, 'snapshots', 'y')
    const range = { offset: 0, length: 1 }
    await storage.get(file, { range }, signal)
    await storage.remove(file, signal)
    await storage.remove(file, signal)
    await assert.rejects(storage.get(file, {}, signal), { code: 'not-found' })
    await assert.rejects(storage.get(file, { range }, signal), { code: 'not-found' })
    assert.deepEqual(await namesOf(storage, 'snapshots'), [other.name])
    await store(storage, 'snapshots', 'x')
  })

  contract('an aborted call changes nothing and says why', async (storage) => {
    const kept = await store(storage, 'data', 'kept')
    const file = fileFor('data', 'new')
    const aborted = AbortSignal.abort(new Fault('timed-out', 'too late'))
    await assert.rejects(storage.put(file, [bytesOf('new')], aborted), { code: 'timed-out' })
    await assert.rejects(storage.remove(kept, aborted), { code: 'timed-out' })
    await assert.rejects(storage.get(kept, {}, aborted), { code: 'timed-out' })
    await assert.rejects(storage.create(aborted), { code: 'timed-out' })
    await assert.rejects(sizesOf(storage, 'data', aborted), { code: 'timed-out' })
    assert.deepEqual(await namesOf(storage, 'data'), [kept.name])
  })
}

function fileFor(kind: FileKind, content: string): StorageFile {
  if (kind === 'config') return { kind, name: 'config' }
  return { kind, name: createHash('sha256').update(content).digest('hex') }
}

async function store(storage: Storage, kind: FileKind, content: string): Promise<StorageFile> {
  const file = fileFor(kind, content)
  await storage.put(file, [bytesOf(content)], signal)
  return file
}

async function namesOf(storage: Storage, kind: FileKind): Promise<readonly string[]> {
  return [...(await sizesOf(storage, kind)).keys()].sort()
}

async function sizesOf(
  storage: Storage, kind: FileKind, by: AbortSignal = signal): Promise<Map<string, number>> {
  const sizes = new Map<string, number>()
  for await (const { name, sizeBytes } of storage.list(kind, by)) {
    assert.equal(sizes.has(name), false, 'a file is listed once')
    sizes.set(name, sizeBytes)
  }
  return sizes
}

function codeOf(error: unknown): string {
  return error instanceof Fault ? error.code : 'no fault'
}

function bytesOf(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'latin1'))
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1')
}
