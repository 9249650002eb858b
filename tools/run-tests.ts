/**
 * Runs every test file of the project with node's test runner.
 *
 * Without arguments: all of them, `TWO_AT_ONCE` first. With arguments: those files or folders.
 */

import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { projectFiles, ROOT, WITHOUT_HOOKS } from './source-tree.ts'

const wanted = process.argv.slice(2)
const files = projectFiles().filter((path) => path.endsWith('.test.ts'))
const chosen = wanted.length === 0
  ? files
  : files.filter((path) => wanted.some((part) => path === part || path.startsWith(part)))
if (chosen.length === 0) {
  console.error('error: no test file fits the arguments')
  process.exit(2)
}

/**
 * How the names of files begin that run two at once. What measures how long a guest or a file
 * system of this host was held, or looks at what it holds then, is not among them and runs alone.
 */
const TWO_AT_ONCE = ['src/', 'tools/', 'test/hostile/', 'test/simulation/', 'test/interop/',
  'test/system/vsphere', 'test/system/hyperv']
const ALONE_THOUGH = ['test/interop/frozen-', 'test/interop/image-']

const isAlone = (path: string): boolean => {
  const begins = (start: string): boolean => path.startsWith(start)
  return !TWO_AT_ONCE.some(begins) || ALONE_THOUGH.some(begins)
}
const groups = [
  { files: chosen.filter((path) => !isAlone(path)), atOnce: 2 },
  { files: chosen.filter(isAlone), atOnce: 1 },
].filter((group) => group.files.length > 0)

/** Far beyond what the slowest takes on a busy machine: a run that hangs must end. */
const TEST_LIMIT_MS = 15 * 60_000
const GROUP_LIMIT_MS = 60 * 60_000

let failed = false
for (const group of groups) {
  const result = spawnSync(process.execPath, [
    // A file that is left open until the collector finds it fails the test that opened it.
    ...WITHOUT_HOOKS, '--test', '--disable-warning=ExperimentalWarning', '--throw-deprecation',
    `--test-concurrency=${group.atOnce}`, `--test-timeout=${TEST_LIMIT_MS}`,
    '--test-reporter=spec', '--test-reporter-destination=stdout',
    `--test-reporter=${join(ROOT, 'tools/slowest-files.ts')}`, '--test-reporter-destination=stdout',
    ...group.files,
  ], {
    cwd: ROOT, stdio: ['ignore', 'inherit', 'inherit'], timeout: GROUP_LIMIT_MS,
    killSignal: 'SIGKILL',
  })
  if (result.error !== undefined) {
    console.error(`error: the tests were ended: ${result.error.message}`)
  }
  if (result.status !== 0) failed = true
}
process.exitCode = failed ? 1 : 0
