import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { FULL_REASONS } from './change-tracking.ts'

test('docs/change-tracking.md explains each reason for a full read, in its words', () => {
  const page = readFileSync(new URL('../../docs/change-tracking.md', import.meta.url), 'utf8')
  const rows = page.split('\n').filter((line) => line.startsWith('| `'))
  const told = rows.map((row) => row.split('|').slice(1, 3).map((cell) => cell.trim()))
  assert.deepEqual(told,
    Object.entries(FULL_REASONS).map(([code, words]) => [`\`${code}\``, words]))
  for (const row of rows) assert.match(row, /\| [A-Z][^|]+\. \|$/, row)
})
