/**
 * Reading a disk over a unix socket from qemu-nbd: our client beside nbdcopy, in turns.
 * `tools/node bench/nbd-read.ts [MIB] [ROUNDS]`; needs qemu-nbd, nbdcopy and as much memory.
 */

import { createWriteStream } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { forEachBounded } from '../src/base/bounded.ts'
import { systemClock } from '../src/base/clock.ts'
import { runProgram } from '../src/base/program.ts'
import { seededRandom } from '../src/base/random.ts'
import { connectNbd } from '../src/disk/mod.ts'
import { startQemuNbd } from '../src/disk/testing/mod.ts'

const MIB = 1024 * 1024
const CHUNK_BYTES = MIB / 2
const signal = new AbortController().signal
const [sizeMib = 2048, rounds = 3] = process.argv.slice(2).map(Number)

/** In memory, so that no disk is measured. */
const folder = await mkdtemp('/dev/shm/stillpoint-bench-')
try {
  const image = join(folder, 'disk.raw')
  const block = seededRandom(1)(8 * MIB)
  await pipeline(
    Readable.from(Array.from({ length: Math.ceil(sizeMib / 8) }, () => block)),
    createWriteStream(image))
  await using server = await startQemuNbd(['--read-only', '--format=raw', image])
  for (let round = 0; round < rounds; round++) {
    await report('nbdcopy, one connection', () =>
      runProgram('nbdcopy', ['--connections=1', server.uri, 'null:'], { signal }))
    for (const connections of [1, 2]) {
      await report(`stillpoint, connections: ${connections}`, () =>
        readAll(server.socketPath, connections))
    }
  }
} finally {
  await rm(folder, { recursive: true, force: true })
}

async function readAll(socketPath: string, connections: number): Promise<void> {
  await using source = await connectNbd(
    { socketPath, exportName: '', connections }, systemClock, signal)
  const offsets = Array.from({ length: source.sizeBytes / CHUNK_BYTES }, (_, i) => i * CHUNK_BYTES)
  await forEachBounded(offsets, { inFlight: 16 }, async (offset) => {
    await source.read(offset, CHUNK_BYTES, signal)
  })
}

async function report(name: string, run: () => Promise<unknown>): Promise<void> {
  const startMs = systemClock.monotonicMs()
  await run()
  const seconds = (systemClock.monotonicMs() - startMs) / 1000
  console.log(`${name.padEnd(28)} ${(sizeMib * MIB / 1e6 / seconds).toFixed(0).padStart(6)} MB/s`)
}
