/** Our scripts of PowerShell, none of which runs here, as a grammar of others reads them. */

import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { glob, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { quietEnvironment, runProgram } from '../../src/base/program.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const FOLDER = join(ROOT, '.cache/peers/powershell')

/** Prints `file:line` of whatever does not fit. */
const PARSE = `
import sys
import tree_sitter, tree_sitter_powershell
parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_powershell.language()))
def tell(file, node):
    if node.is_error or node.is_missing:
        print(f'{file}:{node.start_point[0] + 1}')
    elif node.has_error:
        for child in node.children:
            tell(file, child)
for file in sys.argv[1:]:
    with open(file, 'rb') as script:
        tell(file, parser.parse(script.read()).root_node)
`

async function misfits(files: readonly string[]): Promise<readonly string[]> {
  const { stdout } = await runProgram('python3', ['-c', PARSE, ...files], {
    signal: new AbortController().signal,
    env: { ...quietEnvironment([]), PYTHONPATH: FOLDER } })
  return Buffer.from(stdout).toString().split('\n').filter((line) => line !== '')
}

async function scripts(): Promise<readonly string[]> {
  const found = await Array.fromAsync(glob('src/**/*.ps1', { cwd: ROOT }))
  return found.map((file) => join(ROOT, file)).toSorted()
}

const isThere = (t: TestContext): boolean => {
  if (existsSync(FOLDER)) return true
  t.skip('the grammar of PowerShell is missing')
  return false
}

test('every script fits the grammar of PowerShell', async (t) => {
  if (!isThere(t)) return
  const files = await scripts()
  assert.ok(files.length >= 10, files.join(' '))
  assert.deepEqual(await misfits(files), [])
})

test('a script of which any line with a bracket is lost does not', async (t) => {
  if (!isThere(t)) return
  const folder = await mkdtemp(join(tmpdir(), 'ps1-'))
  t.after(() => rm(folder, { recursive: true }))
  const broken: string[] = []
  for (const file of await scripts()) {
    const lines = (await readFile(file, 'utf8')).split('\n')
    const [bracket] = lines.flatMap((line, at) => /^\s*\}\s*$/.test(line) ? [at] : [])
    if (bracket === undefined) continue
    const path = join(folder, `${broken.length}.ps1`)
    await writeFile(path, lines.toSpliced(bracket, 1).join('\n'))
    broken.push(path)
  }
  assert.ok(broken.length >= 5)
  const told = new Set((await misfits(broken)).map((line) => line.replace(/:\d+$/, '')))
  assert.deepEqual([...told].toSorted(), broken.toSorted())
})
