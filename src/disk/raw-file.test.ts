import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { createRawSink } from './raw-sink.ts'
import { openRawSource } from './raw-source.ts'
import { contractContent, testBlockSource } from './testing/contract.ts'

const signal = new AbortController().signal

async function folderFor(context: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'stillpoint-raw-'))
  context.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

testBlockSource('raw file', async (context, abort) => {
  const path = join(await folderFor(context), 'disk.raw')
  await writeFile(path, contractContent())
  return openRawSource(path, abort)
})

test('a missing image is not found, and a folder is no image', async (context) => {
  const folder = await folderFor(context)
  await assert.rejects(openRawSource(join(folder, 'none'), signal), { code: 'not-found' })
  await assert.rejects(openRawSource(folder, signal), { code: 'unsupported' })
})

test('a file cut short after opening is unreadable, not short', async (context) => {
  const path = join(await folderFor(context), 'disk.raw')
  await writeFile(path, new Uint8Array(8192))
  await using source = await openRawSource(path, signal)
  await writeFile(path, new Uint8Array(4096))
  await assert.rejects(source.read(0, 8192, signal), { code: 'disk-unreadable' })
})

test('a raw sink leaves zeros as holes and appears only when finished', async (context) => {
  const path = join(await folderFor(context), 'disk.raw')
  const content = contractContent()
  {
    await using sink = await createRawSink(path, content.length, signal)
    const step = 1_000_003
    for (let at = 0; at < content.length; at += step) {
      await sink.write(at, content.subarray(at, at + step), signal)
    }
    await assert.rejects(stat(path), { code: 'ENOENT' })
    await sink.finish(signal)
  }
  assert.ok(Buffer.from(content).equals(await readFile(path)))
  const facts = await stat(path)
  assert.ok(facts.blocks * 512 < 4.5 * 2 ** 20, `${facts.blocks * 512} bytes are allocated`)
  assert.equal(facts.mode & 0o777, 0o600)
  assert.deepEqual(await readdir(join(path, '..')), ['disk.raw'])
})

test('a sink of zeros has the size of the disk and takes no space', async (context) => {
  const path = join(await folderFor(context), 'disk.raw')
  await using sink = await createRawSink(path, 2 ** 33, signal)
  await sink.write(2 ** 32, new Uint8Array(2 ** 20), signal)
  await sink.finish(signal)
  const facts = await stat(path)
  assert.equal(facts.size, 2 ** 33)
  assert.ok(facts.blocks < 64)
})

test('disposing an unfinished sink removes what it wrote', async (context) => {
  const folder = await folderFor(context)
  {
    await using sink = await createRawSink(join(folder, 'disk.raw'), 8192, signal)
    await sink.write(0, Buffer.alloc(8192, 1), signal)
    assert.deepEqual(await readdir(folder), ['disk.raw.partial'])
  }
  assert.deepEqual(await readdir(folder), [])
})

test('an aborted write leaves a sink that cannot be finished', async (context) => {
  const folder = await folderFor(context)
  {
    await using sink = await createRawSink(join(folder, 'disk.raw'), 8192, signal)
    await assert.rejects(
      sink.write(0, Buffer.alloc(8192, 1), AbortSignal.abort()), { code: 'interrupted' })
    await assert.rejects(sink.finish(signal), { code: 'io-error' })
  }
  assert.deepEqual(await readdir(folder), [])
})

test('nothing is overwritten, not even an image that appears meanwhile', async (context) => {
  const folder = await folderFor(context)
  const path = join(folder, 'disk.raw')
  await writeFile(path, 'mine')
  await assert.rejects(createRawSink(path, 8192, signal), { code: 'already-exists' })
  await rm(path)
  {
    await using sink = await createRawSink(path, 8192, signal)
    await assert.rejects(createRawSink(path, 8192, signal), { code: 'already-exists' })
    await writeFile(path, 'mine')
    await assert.rejects(sink.finish(signal), { code: 'already-exists' })
  }
  assert.equal(await readFile(path, 'utf8'), 'mine')
  assert.deepEqual(await readdir(folder), ['disk.raw'])
})

test('writes outside the disk and into no folder are refused', async (context) => {
  const folder = await folderFor(context)
  await using sink = await createRawSink(join(folder, 'disk.raw'), 8192, signal)
  await assert.rejects(sink.write(8000, new Uint8Array(200), signal), { code: 'out-of-range' })
  await assert.rejects(
    createRawSink(join(folder, 'none', 'disk.raw'), 1, signal), { code: 'io-error' })
  await mkdir(join(folder, 'folder'))
  await assert.rejects(createRawSink(join(folder, 'folder'), 1, signal), { code: 'already-exists' })
})
