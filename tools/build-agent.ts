/** Builds the agent for machines: `tools/node tools/build-agent.ts` prints the executable's path. */

import { buildAgent } from '../src/demo/mod.ts'
import { defaultCacheDir } from '../src/demo/mod.ts'

const signal = new AbortController().signal
console.log(await buildAgent(defaultCacheDir(), signal))
