/** Our NBD client against the servers of QEMU and nbdkit. */

import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { systemClock } from '../../src/base/clock.ts'
import { runProgram } from '../../src/base/program.ts'
import {
  connectNbd, mergeExtents, nbdErrorOf, subtract, type NbdSource, type NbdTarget,
  type Range,
} from '../../src/disk/mod.ts'
import {
  contractContent, missingProgram, startNbdkit, startQemuNbd, testBlockSource, type NbdProgram,
} from '../../src/disk/testing/mod.ts'

const signal = new AbortController().signal
const skip = missingProgram('qemu-nbd', 'qemu-img', 'nbdkit', 'nbdinfo', 'nbdcopy')

async function folderFor(context: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'stillpoint-interop-'))
  context.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

const run = (program: string, ...args: string[]): Promise<Buffer> =>
  runProgram(program, args, { signal, maxOutputBytes: 64 * 2 ** 20 })
    .then(({ stdout }) => Buffer.from(stdout))

/** Serves with `start` until the test ends, and connects. */
async function serve(
  context: TestContext, start: Promise<NbdProgram>, options: Partial<NbdTarget> = {},
): Promise<{ readonly server: NbdProgram; readonly source: NbdSource }> {
  const opened = new AsyncDisposableStack()
  context.after(() => opened.disposeAsync())
  const server = opened.use(await start)
  const { socketPath } = server
  const source = opened.use(
    await connectNbd({ socketPath, exportName: '', ...options }, systemClock, signal))
  return { server, source }
}

async function rawImage(context: TestContext): Promise<string> {
  const path = join(await folderFor(context), 'disk.raw')
  await writeFile(path, contractContent())
  await run('fallocate', '--dig-holes', path)
  return path
}

/** `contractContent` in qcow2, its zeros partly unallocated, partly written as zeros. */
async function qcow2Image(context: TestContext): Promise<string> {
  const raw = await rawImage(context)
  const path = raw.replace('.raw', '.qcow2')
  await run('qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2', raw, path)
  await run('qemu-io', '-f', 'qcow2', '-c', 'write -z 3M 1M', '-c', 'write -P 0 6M 64k', path)
  return path
}

const qemuRaw = async (context: TestContext): Promise<NbdProgram> =>
  startQemuNbd(['--read-only', '--format=raw', await rawImage(context)])
const qemuQcow2 = async (context: TestContext): Promise<NbdProgram> =>
  startQemuNbd(['--read-only', '--format=qcow2', await qcow2Image(context)])
const kitFile = async (context: TestContext): Promise<NbdProgram> =>
  startNbdkit(['--readonly', 'file', await rawImage(context)])

for (const [name, start, options] of [
  ['qemu-nbd, raw', qemuRaw, {}],
  ['qemu-nbd, qcow2', qemuQcow2, {}],
  ['qemu-nbd, four connections', qemuRaw, { connections: 4 }],
  ['qemu-nbd, small requests', qemuRaw, { limits: { requestBytes: 8192, inFlight: 3 } }],
  ['nbdkit, file', kitFile, {}],
  ['nbdkit without structured replies', async (context: TestContext) =>
    startNbdkit(['--no-sr', '--readonly', 'file', await rawImage(context)]), {}],
  ['nbdkit with blocks of 512 to 64 KiB', async (context: TestContext) => startNbdkit([
    '--filter=blocksize-policy', '--readonly', 'file', await rawImage(context),
    'blocksize-minimum=512', 'blocksize-preferred=4096', 'blocksize-maximum=64K',
    'blocksize-error-policy=error',
  ]), {}],
] as const) {
  testBlockSource(name, async (context) =>
    (await serve(context, start(context), options)).source, skip)
}

interface MappedRange extends Range {
  readonly type: number
}

for (const [name, start] of [
  ['raw', qemuRaw], ['qcow2', qemuQcow2], ['nbdkit', kitFile],
] as const) {
  test(`nbdcopy and nbdinfo see the same (${name})`, { skip }, async (context) => {
    const { server, source } = await serve(context, start(context))
    const copy = join(await folderFor(context), 'copy.raw')
    await run('nbdcopy', server.uri, copy)
    assert.ok((await readFile(copy)).equals(await source.read(0, source.sizeBytes, signal)))

    const map = JSON.parse(
      String(await run('nbdinfo', '--json', '--map', server.uri))) as MappedRange[]
    const whole = { offset: 0, length: source.sizeBytes }
    const expected = map.map(({ offset, length, type }) =>
      ({ offset, length, kind: (type & 2) === 0 ? 'data' as const : 'zero' as const }))
    assert.ok(source.extents !== undefined)
    const seen = await Array.fromAsync(source.extents(whole, signal))
    assert.deepEqual(seen, await Array.fromAsync(mergeExtents(expected, whole)))
    assert.ok(seen.some(({ kind }) => kind === 'zero') && seen.some(({ kind }) => kind === 'data'))
  })
}

test('a qcow2 image reads as qemu-img converts it', { skip }, async (context) => {
  const path = await qcow2Image(context)
  const { source } = await serve(context, startQemuNbd(['--read-only', '--format=qcow2', path]))
  const raw = `${path}.raw`
  await run('qemu-img', 'convert', '-f', 'qcow2', '-O', 'raw', path, raw)
  assert.ok((await readFile(raw)).equals(await source.read(0, source.sizeBytes, signal)))
})

test('dirty ranges are those of the bitmap', { skip }, async (context) => {
  const path = await qcow2Image(context)
  await run('qemu-img', 'bitmap', '--add', '-g', '65536', '-f', 'qcow2', path, 'b0')
  await run('qemu-io', '-f', 'qcow2', '-c', 'write -P 7 65536 1', '-c', 'write -z 3M 1M', path)
  const context0 = 'qemu:dirty-bitmap:b0'
  const { server, source } = await serve(
    context, startQemuNbd(['--read-only', '--format=qcow2', '--bitmap=b0', path]),
    { contexts: [context0] })
  const whole = { offset: 0, length: source.sizeBytes }
  const dirty = await Array.fromAsync(source.dirtyExtents(context0, whole, signal))
  assert.deepEqual(dirty, [
    { offset: 65_536, length: 65_536 }, { offset: 3 * 2 ** 20, length: 2 ** 20 },
  ])
  const map = JSON.parse(String(
    await run('nbdinfo', '--json', `--map=${context0}`, server.uri))) as MappedRange[]
  const clean = map.filter(({ type }) => (type & 1) === 0)
  assert.deepEqual(subtract([whole], clean), dirty)
  assert.ok(source.extents !== undefined)
  assert.ok((await Array.fromAsync(source.extents(whole, signal))).length > 1)
  const part = source.dirtyExtents(context0, { offset: 70_000, length: 10 }, signal)
  assert.deepEqual(await Array.fromAsync(part), [{ offset: 70_000, length: 10 }])
})

test('a context that is not there is refused', { skip }, async (context) => {
  const start = qemuRaw(context)
  await assert.rejects(serve(context, start, { contexts: ['qemu:dirty-bitmap:none'] }), {
    code: 'nbd-refused', message: /qemu:dirty-bitmap:none/ })
})

test('an export that is not there is refused', { skip }, async (context) => {
  await assert.rejects(serve(context, qemuRaw(context), { exportName: 'none' }), {
    code: 'nbd-refused', message: /NBD_REP_ERR_UNKNOWN/ })
})

test('a disk of a petabyte is read and mapped to its end', { skip }, async (context) => {
  const { source } = await serve(context, startNbdkit(['--readonly', 'pattern', `size=${2 ** 50}`]))
  assert.equal(source.sizeBytes, 2 ** 50)
  const bytes = Buffer.from(await source.read(2 ** 50 - 16, 16, signal))
  assert.equal(bytes.readBigUInt64BE(8), BigInt(2 ** 50 - 8))
  const sparse = await serve(context, startNbdkit(
    ['--readonly', 'data', `data=@${5 * 2 ** 40} 1 @${6 * 2 ** 40 - 1} 2`, `size=${6 * 2 ** 40}`]))
  const whole = { offset: 0, length: 6 * 2 ** 40 }
  assert.ok(sparse.source.extents !== undefined)
  const extents = await Array.fromAsync(sparse.source.extents(whole, signal))
  assert.deepEqual(extents.map(({ kind }) => kind), ['zero', 'data', 'zero', 'data'])
})

test('a read error has its errno, and the connection goes on', { skip }, async (context) => {
  const flag = join(await folderFor(context), 'fail')
  await writeFile(flag, '')
  const { source } = await serve(context, startNbdkit([
    '--filter=error', '--readonly', 'pattern', 'size=1M', 'error=EIO', 'error-pread-rate=100%',
    `error-file=${flag}`,
  ]))
  const error: unknown = await source.read(0, 4096, signal).catch((reason: unknown) => reason)
  assert.equal(nbdErrorOf(error)?.errno, 5)
  await assert.rejects(source.read(0, 4096, signal), { code: 'disk-unreadable' })
  await rm(flag)
  assert.equal((await source.read(0, 4096, signal)).length, 4096)
})

test('an abort or a time limit ends a slow read', { skip }, async (context) => {
  const slow = ['--filter=delay', '--readonly', 'pattern', 'size=1M', 'rdelay=20']
  const { source } = await serve(context, startNbdkit(slow))
  const abort = new AbortController()
  const read = source.read(0, 4096, abort.signal)
  abort.abort()
  await assert.rejects(read, { code: 'interrupted' })
  const hasty = await serve(context, startNbdkit(slow), { limits: { requestMs: 50 } })
  await assert.rejects(hasty.source.read(0, 4096, signal), { code: 'disk-lost' })
})

test('a server that dies is disk-lost, at once and later', { skip }, async (context) => {
  const { server, source } = await serve(context, startNbdkit(
    ['--filter=delay', '--readonly', 'pattern', 'size=1M', 'rdelay=1', '--exit-with-parent']))
  const reads = Promise.allSettled(Array.from({ length: 4 }, () => source.read(0, 4096, signal)))
  await server[Symbol.asyncDispose]()
  for (const outcome of await reads) {
    if (outcome.status === 'rejected') assert.match(outcome.reason.code, /disk-(lost|unreadable)/)
  }
  await assert.rejects(source.read(0, 1, signal), { code: 'disk-lost' })
})
