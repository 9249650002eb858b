/** Builds the agent: `tools/node tools/build-agent.ts` prints the path of the executable. */

import { buildAgent, defaultCacheDir } from '../src/demo/mod.ts'

console.log(await buildAgent(defaultCacheDir(), new AbortController().signal))
