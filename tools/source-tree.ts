/** The project's own files, as git knows them, and what they import. */

import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Import } from './layers.ts'

export const ROOT = normalize(join(dirname(fileURLToPath(import.meta.url)), '..'))

/** Makes node run tests without a hook on each promise: without-hooks.ts says why. */
export const WITHOUT_HOOKS = ['--import', join(ROOT, 'tools/without-hooks.ts')] as const

/** Paths of all tracked and new files, `/` between parts, sorted. */
export function projectFiles(): readonly string[] {
  const args = ['ls-files', '--cached', '--others', '--exclude-standard', '-z']
  const listed = execFileSync('git', args, { cwd: ROOT, encoding: 'utf8', maxBuffer: 1 << 26 })
  return [...new Set(listed.split('\0'))]
    .filter((path) => path !== '' && existsSync(join(ROOT, path)))
    .toSorted()
}

export function readProjectFile(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8')
}

const SPECIFIER = /(?:\bfrom\s+|\bimport\s*\(\s*|^import\s+)'(\.{1,2}\/[^']+)'/gm

/** Relative imports of `text`, a file at `path`, as paths of the project. */
export function importsOf(path: string, text: string): readonly string[] {
  return [...text.matchAll(SPECIFIER)]
    .map((match) => match[1])
    .filter((specifier) => specifier !== undefined)
    .map((specifier) => normalize(join(dirname(path), specifier)))
}

/** All imports between files of `src/`. */
export function sourceImports(): readonly Import[] {
  return projectFiles()
    .filter((path) => path.startsWith('src/') && path.endsWith('.ts'))
    .flatMap((path) => importsOf(path, readProjectFile(path))
      .filter((to) => to.startsWith('src/'))
      .map((to) => ({ from: path.slice('src/'.length), to: to.slice('src/'.length) })))
}
