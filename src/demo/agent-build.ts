/**
 * The agent as one executable: the program bundled into one script, and Node around it (Node.js
 * documentation, "Single executable applications").
 */

import { createHash } from 'node:crypto'
import { chmod, copyFile, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { runProgram } from '../base/program.ts'
import { builtOnce } from './cache.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const ENTRY = join(ROOT, 'src/agent/main.ts')
export const AGENT_NAME = 'stillpoint-agent'

/** Node's own mark of where the script goes. */
const FUSE = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2'

/**
 * The path of the executable, built (in seconds) unless the cache has one of these sources. Needs
 * the development packages. Faults: `program-missing`, `program-failed`.
 */
export async function buildAgent(cacheDir: string, signal: AbortSignal): Promise<string> {
  const script = await bundle()
  const recipe = createHash('sha256').update(script).update(process.version)
  recipe.update(await readFile(fileURLToPath(import.meta.url)))
  const folder = join(dirname(cacheDir), 'agent', recipe.digest('hex').slice(0, 16))
  await builtOnce(folder, (unfinished) => build(script, unfinished, signal), signal)
  return join(folder, AGENT_NAME)
}

async function bundle(): Promise<Uint8Array> {
  // Loaded here, as only who builds has it.
  const { build } = await import('esbuild')
  const { version } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as
    { readonly version: string }
  const { outputFiles } = await build({
    entryPoints: [ENTRY], bundle: true, platform: 'node', target: 'node24', format: 'cjs',
    minify: true, legalComments: 'none', write: false, logLevel: 'silent',
    external: ['pg-native'], // an optional part of pg that is never used
    define: { STILLPOINT_VERSION: JSON.stringify(version) },
  })
  return outputFiles[0]?.contents ?? new Uint8Array()
}

async function build(script: Uint8Array, folder: string, signal: AbortSignal): Promise<void> {
  const at = (name: string): string => join(folder, name)
  await writeFile(at('agent.cjs'), script)
  await writeFile(at('sea.json'), JSON.stringify({
    main: at('agent.cjs'), output: at('blob'), disableExperimentalSEAWarning: true,
    useCodeCache: true })) // a fifth of the time to start the client of hooks
  await runProgram(process.execPath, ['--experimental-sea-config', at('sea.json')], { signal })
  await copyFile(process.execPath, at(AGENT_NAME))
  await chmod(at(AGENT_NAME), 0o755)
  await runProgram(process.execPath, [
    join(ROOT, 'node_modules/postject/dist/cli.js'), at(AGENT_NAME), 'NODE_SEA_BLOB', at('blob'),
    '--sentinel-fuse', FUSE,
  ], { signal })
  for (const name of ['agent.cjs', 'sea.json', 'blob']) await rm(at(name))
}
