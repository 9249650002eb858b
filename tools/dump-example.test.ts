import assert from 'node:assert/strict'
import { test } from 'node:test'
import { exampleDump } from './dump-example.ts'
import { readProjectFile } from './source-tree.ts'

test('the example of docs/repository-format.md is what the program writes', async () => {
  const page = readProjectFile('docs/repository-format.md')
  const example = /<!-- begin of the example -->\n([\s\S]*)<!-- end of the example -->/.exec(page)
  assert.equal(example?.[1], await exampleDump(),
    'replace it by the output of tools/node tools/dump-example.ts')
})
