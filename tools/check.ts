/** `npm run check`: types, lint, sizes, rooms' text rules, links, the fault table. */

import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { FAULT_CODES } from '../src/base/fault-codes.ts'
import { checkFaultTable, checkLinks, checkSource, type Finding } from './check-text.ts'
import { projectFiles, readProjectFile, ROOT } from './source-tree.ts'

function runStep(name: string, program: string, args: readonly string[]): boolean {
  const result = spawnSync(join(ROOT, 'node_modules/.bin', program), args, {
    cwd: ROOT, stdio: 'inherit', env: { ...process.env, PATH: `${ROOT}/tools:${process.env.PATH}` },
  })
  const ok = result.status === 0
  console.log(`${ok ? 'ok' : 'FAILED'}: ${name}`)
  return ok
}

function textFindings(): readonly Finding[] {
  const files = projectFiles()
  const exists = (path: string): boolean => existsSync(join(ROOT, path))
  return [
    ...files.filter((path) => path.endsWith('.ts'))
      .flatMap((path) => checkSource(path, readProjectFile(path))),
    ...files.filter((path) => path.endsWith('.md'))
      .flatMap((path) => checkLinks(path, readProjectFile(path), exists)),
    ...checkFaultTable(FAULT_CODES, readProjectFile('docs/faults.md')),
  ]
}

const findings = textFindings()
for (const { path, line, text } of findings) console.log(`${path}:${line}: ${text}`)
console.log(`${findings.length === 0 ? 'ok' : 'FAILED'}: text rules, links, fault table`)
const types = runStep('types', 'tsc', ['-p', '.'])
const lint = runStep('lint', 'oxlint', ['src', 'tools', 'test', 'bench'].filter((folder) =>
  existsSync(join(ROOT, folder))))
process.exitCode = findings.length === 0 && types && lint ? 0 : 1
