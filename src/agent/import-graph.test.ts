/**
 * The agent runs as root in every machine: what it is made of stays small. Walks what `main.ts`
 * imports; imports of types alone are gone when it runs.
 */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { dirname, join, normalize, relative } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const SRC = fileURLToPath(new URL('..', import.meta.url))

/** Rooms, and packages beside Node's own. */
const ROOMS = ['agent', 'base', 'channel', 'writers']
const PACKAGES = ['mysql2', 'pg', 'yaml', 'zod']
/** 84 files when this was written. */
const MAX_FILES = 110
/** Minified, 1.8 MB when this was written, more than half of it `mysql2` and `zod`. */
const MAX_BUNDLE_BYTES = 2_000_000

interface Graph {
  readonly files: ReadonlySet<string>
  readonly packages: ReadonlySet<string>
}

function importsOf(path: string): readonly string[] {
  const text = readFileSync(path, 'utf8')
  return [
    /^(?:import|export)\s(?!type\b)[^'"]*?\bfrom\s+'([^']+)'/gm,
    /\bimport\s*\(\s*'([^']+)'/g,
    /^import\s+'([^']+)'/gm,
  ].flatMap((form) => [...text.matchAll(form)].map(([, specifier = '']) => specifier))
}

function graphOf(entry: string): Graph {
  const files = new Set<string>()
  const packages = new Set<string>()
  const left = [entry]
  for (let path = left.pop(); path !== undefined; path = left.pop()) {
    if (files.has(path)) continue
    files.add(path)
    for (const specifier of importsOf(path)) {
      if (specifier.startsWith('.')) left.push(normalize(join(dirname(path), specifier)))
      else if (!specifier.startsWith('node:')) packages.add(specifier.split('/')[0] ?? specifier)
    }
  }
  return { files, packages }
}

test('the agent is made of few rooms and packages', (t) => {
  const { files, packages } = graphOf(join(SRC, 'agent/main.ts'))
  const rooms = new Set([...files].map((path) => relative(SRC, path).split('/')[0] ?? ''))
  t.diagnostic(`${files.size} files of ${[...rooms].toSorted().join(', ')}`)
  assert.deepEqual([...rooms].toSorted(), ROOMS)
  assert.deepEqual([...packages].toSorted(), PACKAGES)
  assert.ok(files.size <= MAX_FILES, `${files.size} files`)
})

test('the walk finds what is imported, and leaves types out', () => {
  const { files, packages } = graphOf(join(SRC, 'engine/config.ts'))
  assert.ok([...files].some((path) => path.endsWith('consistency/grade.ts')))
  assert.ok(packages.has('yaml') && packages.has('zod'))
  const writer = graphOf(join(SRC, 'writers/writer-set.ts'))
  assert.equal([...writer.files].some((path) => path.includes('consistency')), false)
})

test('the agent in one file stays small', async (t) => {
  const { build } = await import('esbuild')
  const { outputFiles } = await build({
    entryPoints: [join(SRC, 'agent/main.ts')], bundle: true, platform: 'node', target: 'node24',
    format: 'cjs', minify: true, legalComments: 'none', write: false, logLevel: 'silent',
    external: ['pg-native'],
  })
  const size = outputFiles[0]?.contents.length ?? Infinity
  t.diagnostic(`${size} bytes`)
  assert.ok(size <= MAX_BUNDLE_BYTES, `${size} bytes`)
})
