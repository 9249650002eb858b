/** Lives one seed and tells what happens in it: `tools/node test/simulation/whole/replay.ts 42`. */

import { live } from './life.ts'
import { recordsFolder } from './records-folder.ts'
import { Tally } from './tally.ts'

const seed = Number(process.argv[2])
if (!Number.isSafeInteger(seed)) {
  process.stderr.write('usage: tools/node test/simulation/whole/replay.ts SEED\n')
  process.exit(2)
}
using folder = recordsFolder()
await live(seed, { runDir: folder.path, tally: new Tally(),
  note: (atMs, text) => process.stdout.write(`${atMs.toFixed(1).padStart(10)} ms  ${text}\n`) })
process.stdout.write('every invariant holds\n')
