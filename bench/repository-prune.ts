/**
 * What planning a prune of a million blobs takes, and that its memory stays within what a backup
 * may take.
 *
 * Trees, index and snapshot are real and lie in a folder; the data packs are only listed.
 */

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { seededRandom, systemRandom } from '../src/base/random.ts'
import {
  beginWrite, DEFAULT_MAX_UNUSED, dirNode, fileNode, goTime, initRepository, openRepository,
  pruneRepository, type BlobId, type FileId, type Repository, type TreeNode,
} from '../src/repository/mod.ts'
import { encodeIndexFile, type IndexedPack } from '../src/repository/format/index-file.ts'
import { packBytes } from '../src/repository/format/pack.ts'
import { writeUnpacked } from '../src/repository/format/unpacked-file.ts'
import { openLocalStorage, type ListedFile, type Storage } from '../src/storage/mod.ts'
import { CONTEXT } from './context.ts'
import { measure, NODE, row } from './measure.ts'

const signal = new AbortController().signal
const BLOBS = 1_000_000
const BLOBS_PER_PACK = 32
const BLOBS_PER_SEGMENT = 512
const SEALED_BYTES = 300_000
const MEMORY_BUDGET_MIB = 300

const { values, positionals: [folder = ''] } = parseArgs({
  allowPositionals: true, options: { step: { type: 'string' } } })

const random = seededRandom(1)
const ids = function* (): Generator<BlobId> {
  for (;;) yield Buffer.from(random(32)).toString('hex') as BlobId
}()
const nextId = (): BlobId => ids.next().value as BlobId

/** The blobs of pack number `n`, the same each time they are asked for in order. */
function makePack(): IndexedPack {
  const id = nextId() as string as FileId
  const blobs = Array.from({ length: BLOBS_PER_PACK }, (_, n) => ({
    kind: 'data' as const, id: nextId(), offset: n * SEALED_BYTES, length: SEALED_BYTES,
    uncompressedLength: 512 * 1024 }))
  return { id, blobs }
}

async function open(storage: Storage): Promise<Repository> {
  return openRepository(storage, CONTEXT, signal)
}

async function make(): Promise<void> {
  await using storage = openLocalStorage(folder)
  await initRepository(storage, { ...CONTEXT, scryptCost: { N: 2, r: 1, p: 1 } }, signal)
  const repository = await open(storage)
  const { masterKey } = repository
  await using session = await beginWrite(repository, {}, signal)
  const segments: TreeNode[] = []
  let content: BlobId[] = []
  let packs: IndexedPack[] = []
  for (let blobs = 0; blobs < BLOBS; blobs += BLOBS_PER_PACK) {
    const pack = makePack()
    packs.push(pack)
    content.push(...pack.blobs.map(({ id }) => id))
    if (content.length >= BLOBS_PER_SEGMENT) {
      const seg = fileNode('seg', content.length * 512 * 1024, content)
      const name = String(segments.length).padStart(4, '0')
      // One in ten is needed by no snapshot.
      if (segments.length % 10 > 0) {
        segments.push(dirNode(name, await session.saveTree({ nodes: [seg] })))
      } else segments.push(dirNode(name, await session.saveTree({ nodes: [] })))
      content = []
    }
    if (packs.length * BLOBS_PER_PACK >= 50_000) {
      await writeUnpacked(storage, masterKey, 'index', encodeIndexFile(packs), systemRandom, signal)
      packs = []
    }
  }
  await writeUnpacked(storage, masterKey, 'index', encodeIndexFile(packs), systemRandom, signal)
  const tree = await session.saveTree({ nodes: segments })
  await session.flush(signal)
  await session.saveSnapshot({ time: goTime(0), tree, paths: ['/b'], hostname: 'bench' }, signal)
}

async function plan(): Promise<void> {
  await using inner = openLocalStorage(folder)
  const sizeBytes = packBytes(makePack().blobs)
  const storage: Storage = {
    location: inner.location,
    create: (signal) => inner.create(signal),
    put: (file, parts, signal) => inner.put(file, parts, signal),
    get: (file, options, signal) => inner.get(file, options, signal),
    remove: (file, signal) => inner.remove(file, signal),
    list: (kind, signal) => kind === 'data' ? listed() : inner.list(kind, signal),
    [Symbol.asyncDispose]: () => inner[Symbol.asyncDispose](),
  }
  async function* listed(): AsyncGenerator<ListedFile> {
    yield* inner.list('data', signal)
    const again = seededRandom(1)
    for (let blobs = 0; blobs < BLOBS; blobs += BLOBS_PER_PACK) {
      const name = Buffer.from(again(32)).toString('hex')
      again(32 * BLOBS_PER_PACK)
      yield { name, sizeBytes }
    }
  }
  const repository = await open(storage)
  await using lock = await repository.lock('shared', signal)
  const report = await pruneRepository(
    repository, lock, { maxUnused: DEFAULT_MAX_UNUSED, dryRun: true }, () => {}, signal)
  console.log(JSON.stringify(report))
}

if (values.step === 'make') await make()
else if (values.step === 'plan') await plan()
else {
  const place = await mkdtemp(join(tmpdir(), 'stillpoint-bench-'))
  const run = (step: string): ReturnType<typeof measure> => measure(NODE,
    ['--disable-warning=ExperimentalWarning', import.meta.filename, '--step', step, place], {})
  run('make')
  const cost = run('plan')
  await rm(place, { recursive: true })
  console.log(`${''.padEnd(28)}  wall s   CPU s     MiB`)
  console.log(row('plan a prune, 1 M blobs', cost, `budget ${MEMORY_BUDGET_MIB} MiB`))
  console.log(cost.stdout.trim())
  if (cost.peakMiB > MEMORY_BUDGET_MIB) process.exitCode = 1
}
