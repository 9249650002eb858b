/**
 * Reading a disk from a datastore over HTTPS: a backup's source beside curl, in turns, from vcsim.
 * `tools/node bench/vsphere-folder.ts [MIB] [ROUNDS]`; needs vcsim (tools/setup.sh tests), curl and
 * as much room in the temporary folder.
 */

import { open } from 'node:fs/promises'
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
await bench.changeDisk(sizeMib * MIB)
{
  const block = seededRandom(1)(MIB)
  await using file = await open(await bench.fileOfDisk(bench.machine), 'w')
  for (let n = 0; n < sizeMib; n++) await file.write(block)
}
await using platform = await bench.open()
await using set = await platform.provider(bench.machine)
  .prepare({ pointId: '0f1b2a0e-3c5d-4e8f-8a9b-0c1d2e3f4a5b', exclude: [] }, signal)
const committed = await commitSet(set, signal)
await using source = await committed.open('scsi0-0', signal)
const url = `${new URL(bench.options.url).origin}/folder/${bench.machine}/disk1-flat.vmdk` +
  '?dcPath=DC0&dsName=LocalDS_0'

const curl = 'TIMEFORMAT="%U %S"; time curl -sk -r "$1" -o /dev/null "$2"'
const rates = new Map<string, Rate[]>()

for (let round = 0; round < rounds; round++) {
  await measure('curl, one connection', async () => {
    const { stderr } = await runProgram('bash',
      ['-c', curl, 'curl', `0-${sizeMib * MIB - 1}`, url], { signal })
    return Buffer.from(stderr).toString().trim().split(' ').reduce((sum, it) => sum + Number(it), 0)
  })
  for (const inFlight of [1, 4]) {
    await measure(`stillpoint, in flight: ${inFlight}`, async () => {
      const before = process.cpuUsage()
      await readAll(inFlight)
      const { user, system } = process.cpuUsage(before)
      return (user + system) / 1e6
    })
  }
}
const [peer] = rates.values()
for (const [name, all] of rates) {
  const of = (key: keyof Rate): number => median(all.map((rate) => rate[key]))
  console.log(`${name.padEnd(28)} ${of('mbS').toFixed(0).padStart(6)} MB/s ` +
    `${of('cpuMsMib').toFixed(2).padStart(6)} ms CPU a MiB, ` +
    `${(of('mbS') / median(peer?.map(({ mbS }) => mbS) ?? [])).toFixed(2)} x curl`)
}
console.log(`medians of ${rounds}; most memory ${
  (process.resourceUsage().maxRSS / 1024).toFixed(0)} MiB`)

async function readAll(inFlight: number): Promise<void> {
  const offsets = Array.from({ length: source.sizeBytes / RUN_BYTES }, (_, i) => i * RUN_BYTES)
  const read = mapBounded(offsets, { inFlight }, (offset) =>
    source.read(offset, RUN_BYTES, signal))
  for await (const _ of read);
}

interface Rate {
  readonly mbS: number
  readonly cpuMsMib: number
}

/** `run` resolves with the seconds of processor time that it took. */
async function measure(name: string, run: () => Promise<number>): Promise<void> {
  const startMs = systemClock.monotonicMs()
  const cpuSeconds = await run()
  const seconds = (systemClock.monotonicMs() - startMs) / 1000
  const rate = { mbS: sizeMib * MIB / 1e6 / seconds, cpuMsMib: cpuSeconds * 1000 / sizeMib }
  rates.set(name, [...rates.get(name) ?? [], rate])
}

function median(all: readonly number[]): number {
  return all.toSorted((a, b) => a - b)[Math.floor(all.length / 2)] ?? NaN
}
