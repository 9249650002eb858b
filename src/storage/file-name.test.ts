import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { isFileName, layoutFolders, pathOf } from './file-name.ts'
import type { FileKind } from './storage.ts'

const id = `4f${'0a'.repeat(31)}`

test('a file is found where restic looks for it', () => {
  const cases: readonly [FileKind, string, string][] = [
    ['config', 'config', 'config'],
    ['data', id, `data/4f/${id}`],
    ['index', id, `index/${id}`],
    ['keys', id, `keys/${id}`],
  ]
  for (const [kind, name, path] of cases) assert.equal(pathOf({ kind, name }), path)
})

test('a name that is not of the format has no path', () => {
  const bad: readonly [FileKind, string][] = [
    ['data', '../../etc/passwd'], ['data', id.toUpperCase()], ['index', id.slice(1)],
    ['keys', `${id}0`], ['keys', 'config'], ['config', id], ['locks', ''], ['data', `${id}\n`],
  ]
  for (const [kind, name] of bad) {
    assert.equal(isFileName(kind, name), false, name)
    assert.throws(() => pathOf({ kind, name }), assert.AssertionError)
  }
})

test('the layout has a folder a kind and 256 shards', () => {
  const folders = layoutFolders()
  assert.equal(folders.length, 5 + 256)
  assert.ok(folders.indexOf('data') < folders.indexOf('data/00'))
  assert.ok(folders.includes('data/ff'))
})
