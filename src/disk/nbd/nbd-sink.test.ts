import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { systemClock } from '../../base/clock.ts'
import { runProgram } from '../../base/program.ts'
import { seededRandom } from '../../base/random.ts'
import type { BlockSink } from '../block-source.ts'
import { contractContent } from '../testing/contract.ts'
import { missingProgram } from '../testing/nbd-programs.ts'
import {
  simpleReply, startScriptedNbdServer, type NbdScript, type ScriptedRequest,
} from '../testing/scripted-nbd-server.ts'
import { nbdErrorOf } from './nbd-error.ts'
import { connectNbdSink } from './nbd-sink.ts'
import { connectNbd } from './nbd-source.ts'
import { NBD_CMD_FLUSH, NBD_CMD_WRITE } from './protocol.ts'
import { IMAGE_FORMATS, serveImage } from './qemu-nbd.ts'

const signal = new AbortController().signal
const KIB = 1024

/** HAS_FLAGS and SEND_FLUSH. */
const WRITABLE = 1 | 4

async function withSink(
  script: NbdScript,
  use: (sink: BlockSink, requests: readonly ScriptedRequest[]) => Promise<void>,
): Promise<void> {
  await using server = await startScriptedNbdServer({ flags: WRITABLE, ...script })
  const target = {
    socketPath: server.socketPath, exportName: '', limits: { requestBytes: 32 * KIB } }
  await using sink = await connectNbdSink(target, systemClock, signal)
  await use(sink, server.requests)
}

const succeed = ({ cookie }: ScriptedRequest): Buffer[] => [simpleReply(cookie, 0)]

test('zeros are left out, the rest is written in pieces, and finishing flushes', async () => {
  await withSink({ request: succeed }, async (sink, requests) => {
    const bytes = new Uint8Array(512 * KIB)
    bytes.fill(1, 70 * KIB, 71 * KIB)
    bytes.fill(2, 256 * KIB, 300 * KIB)
    await sink.write(256 * KIB, bytes, signal)
    await sink.finish(signal)
    assert.deepEqual(
      requests.map(({ type, offset, length }) => [type, offset / KIB, length / KIB]), [
      [NBD_CMD_WRITE, 320, 32], [NBD_CMD_WRITE, 352, 32],
      [NBD_CMD_WRITE, 512, 32], [NBD_CMD_WRITE, 544, 32], [NBD_CMD_FLUSH, 0, 0],
    ])
  })
})

for (const [errno, code] of [
  [28, 'no-space'], [5, 'io-error'], [1, 'io-error'], [108, 'disk-lost'],
] as const) {
  test(`error ${errno} on a write is ${code}, and the sink cannot be finished`, async () => {
    await withSink({ request: ({ cookie }) => [simpleReply(cookie, errno)] }, async (sink) => {
      const error: unknown = await sink.write(0, Buffer.alloc(KIB, 1), signal).catch(
        (it: unknown) => it)
      assert.equal(nbdErrorOf(error)?.errno, errno)
      assert.equal(error instanceof Error && 'code' in error && error.code, code)
      await assert.rejects(sink.finish(signal), { code: 'io-error' })
    })
  })
}

test('a failed flush is no success', async () => {
  const request = ({ cookie, type }: ScriptedRequest): Buffer[] =>
    [simpleReply(cookie, type === NBD_CMD_FLUSH ? 28 : 0)]
  await withSink({ request }, async (sink) => {
    await sink.write(0, Buffer.alloc(KIB, 1), signal)
    await assert.rejects(sink.finish(signal), { code: 'no-space' })
  })
})

test('an aborted write spoils the sink', async () => {
  await withSink({ request: succeed }, async (sink) => {
    await assert.rejects(
      sink.write(0, Buffer.alloc(KIB, 1), AbortSignal.abort()), { code: 'interrupted' })
  })
})

test('an export that is read-only or has odd blocks is refused', async () => {
  await assert.rejects(withSink({ flags: 3 }, async () => {}), { code: 'nbd-refused' })
  await assert.rejects(withSink({ blockSizes: [512, 512, 4096], sizeBytes: 1000 }, async () => {}),
    { code: 'unsupported' })
})

for (const format of IMAGE_FORMATS) {
  const skip = missingProgram('qemu-nbd', 'qemu-img')
  test(`what is written to ${format} through qemu-nbd is read back`, { skip }, async (context) => {
    const folder = await mkdtemp(join(tmpdir(), 'stillpoint-image-'))
    context.after(() => rm(folder, { recursive: true, force: true }))
    const path = join(folder, 'disk,with=odd:name')
    const content = contractContent()
    await runProgram(
      'qemu-img', ['create', '-q', '-f', format, path, `${content.length}`], { signal })
    {
      await using server = await serveImage({ path, format, access: 'write' }, systemClock, signal)
      await using sink = await connectNbdSink(
        { socketPath: server.socketPath, exportName: '' }, systemClock, signal)
      const step = 512 * KIB
      const writes: Promise<void>[] = []
      for (let at = 0; at < content.length; at += step) {
        writes.push(sink.write(at, content.subarray(at, at + step), signal))
      }
      await Promise.all(writes)
      await sink.finish(signal)
      await sink[Symbol.asyncDispose]()
      await server.closed(signal)
    }
    await using server = await serveImage({ path, format, access: 'read' }, systemClock, signal)
    await using source = await connectNbd(
      { socketPath: server.socketPath, exportName: '', connections: 2 }, systemClock, signal)
    assert.equal(source.sizeBytes, content.length)
    assert.ok(Buffer.from(content).equals(await source.read(0, content.length, signal)))
  })
}

const noQemu = missingProgram('qemu-nbd')

test('no image is program-failed, as qemu-nbd says', { skip: noQemu }, async (context) => {
  const folder = await mkdtemp(join(tmpdir(), 'stillpoint-image-'))
  context.after(() => rm(folder, { recursive: true, force: true }))
  const path = join(folder, 'disk')
  await writeFile(path, seededRandom(1)(4096))
  await assert.rejects(serveImage({ path, format: 'qcow2', access: 'read' }, systemClock, signal), {
    code: 'program-failed', message: /not in qcow2 format/ })
  assert.equal((await readFile(path)).length, 4096)
})
