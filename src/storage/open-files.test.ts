import { strict as assert } from 'node:assert'
import { mkdtemp, open, readdir, readlink, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { Fault } from '../base/fault.ts'
import { OpenFiles } from './open-files.ts'

const signal = new AbortController().signal

interface Folder {
  readonly files: OpenFiles
  /** How often each file was opened. */
  readonly opens: Map<string, number>
  /** A file of `text`, and its path. */
  readonly add: (name: string, text: string) => Promise<string>
  /** Descriptors of this process that are files of the folder. */
  readonly held: () => Promise<number>
}

async function inFolder(t: TestContext): Promise<Folder> {
  const folder = await mkdtemp(join(tmpdir(), 'stillpoint-open-'))
  const opens = new Map<string, number>()
  const files = new OpenFiles((path) => {
    opens.set(path, (opens.get(path) ?? 0) + 1)
    return open(path)
  })
  t.after(async () => {
    await files[Symbol.asyncDispose]()
    await rm(folder, { recursive: true })
  })
  return {
    files, opens,
    add: async (name, text) => {
      await writeFile(join(folder, name), text)
      return join(folder, name)
    },
    held: async () => {
      const numbers = await readdir('/proc/self/fd')
      const links = await Promise.all(
        numbers.map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')))
      return links.filter((link) => link.startsWith(folder)).length
    },
  }
}

async function textOf(
  files: OpenFiles, path: string, offset: number, length: number): Promise<string> {
  return Buffer.from(await files.read(path, { offset, length }, signal)).toString()
}

test('a file is opened once for reads at once and for those that follow', async (t) => {
  const { files, opens, add, held } = await inFolder(t)
  const path = await add('a', 'abcdef')
  const read = await Promise.all([0, 1, 2, 3].map((at) => textOf(files, path, at, 3)))
  assert.deepEqual(read, ['abc', 'bcd', 'cde', 'def'])
  assert.equal(await textOf(files, path, 5, 1), 'f')
  assert.equal(opens.get(path), 1)
  assert.equal(await held(), 1)
})

test('few stay open, those that were read last, and none once it is disposed', async (t) => {
  const { files, opens, add, held } = await inFolder(t)
  const paths = await Promise.all(
    Array.from({ length: 20 }, (_, at) => add(`file${at}`, `content ${at}`)))
  const [first = '', second = ''] = paths
  for (const path of paths) {
    await textOf(files, path, 0, 7)
    await textOf(files, first, 0, 7)
  }
  assert.equal(await held(), 8)
  assert.equal(opens.get(first), 1)
  await textOf(files, second, 0, 7)
  assert.equal(opens.get(second), 2)
  await files[Symbol.asyncDispose]()
  assert.equal(await held(), 0)
})

test('files that are all read at once close when they were read', async (t) => {
  const { files, add, held } = await inFolder(t)
  const paths = await Promise.all(
    Array.from({ length: 20 }, (_, at) => add(`file${at}`, `content ${at}`)))
  const texts = await Promise.all(paths.flatMap((path) =>
    [textOf(files, path, 0, 8), textOf(files, path, 8, 1)]))
  assert.equal(texts[38], 'content ')
  assert.equal(await held(), 8)
})

test('a file that could not be read is opened anew', async (t) => {
  const { files, opens, add, held } = await inFolder(t)
  const path = await add('a', 'abc')
  const [fault, whole] = await Promise.allSettled(
    [files.read(path, { offset: 0, length: 9 }, signal), textOf(files, path, 0, 3)])
  assert.equal(fault.status === 'rejected' && fault.reason instanceof Fault &&
    fault.reason.code, 'repository-damaged')
  assert.equal(whole.status === 'fulfilled' && whole.value, 'abc')
  await truncate(path, 1)
  assert.equal(await held(), 0)
  await assert.rejects(textOf(files, path, 0, 3), { code: 'repository-damaged' })
  await add('a', 'longer than before')
  assert.equal(await textOf(files, path, 0, 18), 'longer than before')
  assert.equal(opens.get(path), 3)
  await assert.rejects(textOf(files, `${path}-is-missing`, 0, 1), { code: 'ENOENT' })
})

test('a file that shrinks while it is open is damaged, and an abort ends a read', async (t) => {
  const { files, add, held } = await inFolder(t)
  const path = await add('a', 'abcdef')
  assert.equal(await textOf(files, path, 0, 6), 'abcdef')
  await truncate(path, 2)
  await assert.rejects(textOf(files, path, 0, 6), { code: 'repository-damaged' })
  const late = AbortSignal.abort(new Fault('timed-out', 'too late'))
  await assert.rejects(files.read(path, { offset: 0, length: 2 }, late), { code: 'timed-out' })
  assert.equal(await held(), 0)
})

test('a file that is closed while it is read closes after it', async (t) => {
  const { files, add, held } = await inFolder(t)
  const path = await add('a', 'abcdef')
  const reading = textOf(files, path, 0, 6)
  await files.close(path)
  assert.equal(await reading, 'abcdef')
  assert.equal(await held(), 0)
})
