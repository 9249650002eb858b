import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkFaultTable, checkLinks, checkSource } from './check-text.ts'

test('a line over 100 columns is found with its number', () => {
  assert.deepEqual(checkSource('src/x/a.ts', `ok\n${'x'.repeat(101)}`), [
    { path: 'src/x/a.ts', line: 2, text: 'is 101 columns wide' }])
})

test('time and environment are found in the source, not in tests or where they belong', () => {
  const text = ['const a = Date', 'now(); const b = process', 'env.HOME'].join('.')
  assert.equal(checkSource('src/x/a.ts', text).length, 2)
  assert.equal(checkSource('src/x/a.test.ts', text).length, 0)
  assert.equal(checkSource('src/base/clock.ts', text).length, 1)
  assert.equal(checkSource('src/cli/main.ts', text).length, 1)
})

test('a to-do needs an issue', () => {
  const word = ['TO', 'DO'].join('')
  assert.equal(checkSource('src/x/a.ts', `// ${word}: later`).length, 1)
  assert.equal(checkSource('src/x/a.ts', `// ${word}(#12): later`).length, 0)
})

test('a relative link must lead to a file; web links and anchors are not looked at', () => {
  const exists = (path: string): boolean => path === 'docs/grades.md'
  const text = '[a](grades.md#x) [b](gone.md) [c](https://example.com) [d](#here)'
  assert.deepEqual(checkLinks('docs/x.md', text, exists).map(({ text }) => text), [
    'links to docs/gone.md, which is not there'])
})

test('a fault code without its row, with another meaning, or a row without code is found', () => {
  const codes = { 'a-b': { meaning: 'A.', exitCode: 1 }, 'c': { meaning: 'C.', exitCode: 12 } }
  const row = (code: string, exit: number, text: string): string =>
    `| \`${code}\` | ${exit} | ${text} |`
  assert.deepEqual(checkFaultTable(codes, [row('a-b', 1, 'A.'), row('c', 12, 'C.')].join('\n')), [])
  assert.equal(checkFaultTable(codes, row('a-b', 1, 'A.')).length, 1)
  const wrongExit = [row('a-b', 2, 'A.'), row('c', 12, 'C.')].join('\n')
  assert.equal(checkFaultTable(codes, wrongExit).length, 1)
  assert.equal(checkFaultTable({}, row('x', 1, 'X.')).length, 1)
})
