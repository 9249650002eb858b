import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { circlesOf, LEVELS, whyForbidden } from './layers.ts'
import { importsOf, projectFiles, ROOT, sourceImports } from './source-tree.ts'

const table: readonly (readonly [from: string, to: string, allowed: boolean])[] = [
  ['disk/extents.ts', 'disk/nbd/client.ts', true],
  ['disk/extents.ts', 'base/fault.ts', true],
  ['disk/extents.ts', 'base/testing/manual-clock.ts', false],
  ['disk/extents.test.ts', 'base/testing/manual-clock.ts', true],
  ['disk/extents.ts', 'storage/mod.ts', false],
  ['consistency/provider.ts', 'disk/mod.ts', true],
  ['consistency/provider.ts', 'disk/nbd/client.ts', false],
  ['consistency/provider.test.ts', 'disk/testing/mod.ts', true],
  ['consistency/provider.ts', 'disk/testing/mod.ts', false],
  ['consistency/grade.ts', 'repository/mod.ts', false],
  ['disk/mod.ts', 'consistency/mod.ts', false],
  ['providers/mod.ts', 'engine/mod.ts', false],
  ['cli/main.ts', 'engine/mod.ts', true],
  ['cli/main.ts', 'agent/mod.ts', false],
  ['web/page.ts', 'server/api.ts', true],
  ['web/page.ts', 'engine/mod.ts', false],
  ['nowhere/file.ts', 'base/fault.ts', false],
]
for (const [from, to, allowed] of table) {
  test(`${from} ${allowed ? 'may' : 'may not'} import ${to}`, () => {
    assert.equal(whyForbidden({ from, to }) === undefined, allowed)
  })
}

test('imports are found however they are written', () => {
  const text = [
    "import { a } from './a.ts'", "export type { B } from '../disk/mod.ts'",
    "import './effect.ts'", "const c = await import('./late.ts')", "import fs from 'node:fs'",
    'import {', '  d,', "} from './many.ts'",
  ].join('\n')
  assert.deepEqual(importsOf('src/x/y.ts', text), [
    'src/x/a.ts', 'src/disk/mod.ts', 'src/x/effect.ts', 'src/x/late.ts', 'src/x/many.ts',
  ])
})

test('every import of the source tree goes the way the table says', () => {
  const imports = sourceImports()
  assert.ok(imports.length > 10, 'the source tree was not found')
  const wrong = imports
    .map((it) => ({ it, why: whyForbidden(it) }))
    .filter(({ why }) => why !== undefined)
    .map(({ it, why }) => `${it.from} → ${it.to}: ${why}`)
  assert.deepEqual(wrong, [])
})

test('no files import one another in a circle', () => {
  const arrows = ['a b', 'b c', 'c b', 'a c', 'c d', 'd e', 'a e'].map((arrow) => {
    const [from = '', to = ''] = arrow.split(' ')
    return { from, to }
  })
  assert.deepEqual(circlesOf(arrows), [['b', 'c']])
  assert.deepEqual(circlesOf(sourceImports()), [])
})

test('every folder of src is a room with a README, and a door or a program', () => {
  const rooms = readdirSync(join(ROOT, 'src'))
  const known = LEVELS.flat()
  const files = new Set(projectFiles())
  const missing = rooms.flatMap((room) => [
    ...(known.includes(room) ? [] : [`${room} is not in tools/layers.ts`]),
    ...(files.has(`src/${room}/README.md`) ? [] : [`src/${room}/README.md`]),
    ...(room === 'base' || files.has(`src/${room}/main.ts`) || files.has(`src/${room}/mod.ts`)
      ? [] : [`src/${room}/mod.ts`]),
  ])
  assert.deepEqual(missing, [])
})
