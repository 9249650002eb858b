/**
 * Reading a disk from a datastore over HTTPS: a backup's source beside curl, in turns, from vcsim.
 * `tools/node bench/vsphere-folder.ts [MIB] [ROUNDS]`; needs vcsim (tools/setup.sh tests), curl and
 * as much room in the temporary folder.
 */

import { mapBounded } from '../src/base/bounded.ts'
import { systemClock } from '../src/base/clock.ts'
import { runProgram } from '../src/base/program.ts'
import { seededRandom } from '../src/base/random.ts'
import { commitSet } from '../src/consistency/testing/mod.ts'
import { VsphereBench } from '../src/providers/testing/mod.ts'

const MIB = 1024 * 1024
/** As a backup reads. */
const RUN_BYTES = 4 * MIB
const signal = new AbortController().signal
const [sizeMib = 1024, rounds = 3] = process.argv.slice(2).map(Number)

await using bench = await VsphereBench.start()
const block = Buffer.from(seededRandom(1)(8 * MIB))
await bench.changeDisk(sizeMib * MIB)
await bench.fillDisk(Buffer.concat(Array<Buffer>(Math.ceil(sizeMib / 8)).fill(block)))
await using platform = await bench.open()
await using set = await platform.provider(bench.machine)
  .prepare({ pointId: '0f1b2a0e-3c5d-4e8f-8a9b-0c1d2e3f4a5b', exclude: [] }, signal)
const committed = await commitSet(set, signal)
await using source = await committed.open('scsi0-0', signal)
const url = `${new URL(bench.options.url).origin}/folder/${bench.machine}/disk1-flat.vmdk` +
  '?dcPath=DC0&dsName=LocalDS_0'

for (let round = 0; round < rounds; round++) {
  await report('curl, one connection', () => runProgram('curl',
    ['-sk', '-r', `0-${sizeMib * MIB - 1}`, '-o', '/dev/null', url], { signal }))
  for (const inFlight of [1, 4]) {
    await report(`stillpoint, in flight: ${inFlight}`, () => readAll(inFlight))
  }
}
console.log(`most memory ${(process.resourceUsage().maxRSS / 1024).toFixed(0)} MiB`)

async function readAll(inFlight: number): Promise<void> {
  const offsets = Array.from({ length: source.sizeBytes / RUN_BYTES }, (_, i) => i * RUN_BYTES)
  const read = mapBounded(offsets, { inFlight }, (offset) =>
    source.read(offset, RUN_BYTES, signal))
  for await (const _ of read);
}

async function report(name: string, run: () => Promise<unknown>): Promise<void> {
  const startMs = systemClock.monotonicMs()
  await run()
  const seconds = (systemClock.monotonicMs() - startMs) / 1000
  console.log(`${name.padEnd(28)} ${(sizeMib * MIB / 1e6 / seconds).toFixed(0).padStart(6)} MB/s`)
}
