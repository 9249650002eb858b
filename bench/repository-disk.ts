/**
 * One disk into a repository or out of it, for repository-write.ts to measure:
 * `store REPO IMAGE [--no-verify] [--level N] [--workers N]` prints the disk's tree; with
 * `--base TREE --changed OFFSET,…` it reads only those blocks of 64 KiB;
 * `restore REPO TREE SIZE IMAGE`; `check REPO` reads all data; `init REPO`.
 */

import { parseArgs } from 'node:util'
import { systemClock } from '../src/base/clock.ts'
import { createRawSink, openRawSource } from '../src/disk/mod.ts'
import {
  beginWrite, checkRepository, ChunkThreads, copyDisk, DEFAULT_CHUNK_BYTES, dirNode, goTime,
  initRepository, openRepository, OpenThreads, storeDisk,
  type BlobId, type Repository,
} from '../src/repository/mod.ts'
import { openLocalStorage } from '../src/storage/mod.ts'
import { CONTEXT } from './context.ts'

const signal = new AbortController().signal
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    'no-verify': { type: 'boolean', default: false },
    level: { type: 'string' },
    workers: { type: 'string' },
    base: { type: 'string' },
    changed: { type: 'string', default: '' },
  },
})
const [command, place = '', ...rest] = positionals
const level = values.level === undefined ? {} : { zstdLevel: Number(values.level) }
const workers = values.workers === undefined ? {} : { workers: Number(values.workers) }
await using storage = openLocalStorage(place)
if (command === 'init') await initRepository(storage, CONTEXT, signal)
else if (command === 'store') await store(rest[0] ?? '')
else if (command === 'check') await check(await openIt())
else if (command === 'restore') {
  await restore(rest[0] as BlobId, Number(rest[1]), rest[2] ?? '')
} else throw new Error('usage: init|store|check|restore REPO …')

async function openIt(): Promise<Repository> {
  return openRepository(storage, CONTEXT, signal)
}

async function check(repository: Repository): Promise<void> {
  await using lock = await repository.lock('shared', signal)
  const { isSound } = await checkRepository(repository, { readData: true }, () => {}, lock.lost)
  if (!isSound) throw new Error('the repository is damaged')
}

async function store(image: string): Promise<void> {
  // As `stillpoint backup` does it.
  await using threads = new ChunkThreads()
  const repository = await openIt()
  await using lock = await repository.lock('shared', signal)
  await using source = await openRawSource(image, signal)
  await using session = await beginWrite(repository, {
    verify: !values['no-verify'], ...level, ...workers, threads, lock,
  }, lock.lost)
  const changed = values.changed.split(',').map((at) => ({ offset: Number(at), length: 65_536 }))
  const base = values.base === undefined
    ? {}
    : { base: { repository, treeId: values.base as BlobId, changed } }
  const options = { chunkBytes: DEFAULT_CHUNK_BYTES, ...base }
  const { treeId } = await storeDisk(session, source, options, () => {}, signal)
  const tree = await session.saveTree({ nodes: [dirNode('disk', treeId)] })
  await session.flush(signal)
  await session.saveSnapshot({
    time: goTime(systemClock.nowMs()), tree, paths: ['/bench'], hostname: 'bench' }, signal)
  console.log(treeId)
}

async function restore(treeId: BlobId, sizeBytes: number, image: string): Promise<void> {
  // As `stillpoint restore` does it.
  await using threads = new OpenThreads()
  const repository = await openIt()
  await using lock = await repository.lock('shared', signal)
  await repository.loadIndex(signal)
  await using sink = await createRawSink(image, sizeBytes, signal)
  const geometry = { sizeBytes, chunkBytes: DEFAULT_CHUNK_BYTES }
  await copyDisk(repository, treeId, geometry, sink, { ...workers, threads }, () => {}, lock.lost)
  await sink.finish(signal)
}
