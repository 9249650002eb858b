/**
 * Runs every test file of the project with node's test runner.
 *
 * Without arguments: unit tests first, two files at once; then `test/` (real programs and guests),
 * one file at once, because they measure time. With arguments: those files or folders.
 */

import { spawnSync } from 'node:child_process'
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

const isSlow = (path: string): boolean => path.startsWith('test/')
const groups = [
  { files: chosen.filter((path) => !isSlow(path)), atOnce: 2 },
  { files: chosen.filter(isSlow), atOnce: 1 },
].filter((group) => group.files.length > 0)

/** Far beyond what the slowest takes on a busy machine: a run that hangs must end. */
const TEST_LIMIT_MS = 15 * 60_000
const GROUP_LIMIT_MS = 60 * 60_000

let failed = false
for (const group of groups) {
  const result = spawnSync(process.execPath, [
    ...WITHOUT_HOOKS, '--test', '--disable-warning=ExperimentalWarning',
    `--test-concurrency=${group.atOnce}`, `--test-timeout=${TEST_LIMIT_MS}`,
    '--test-reporter=spec', ...group.files,
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
