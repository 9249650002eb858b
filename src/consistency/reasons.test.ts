import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { suite, test } from 'node:test'
import { GRADES, isWeaker, weakest } from './grade-scale.ts'
import { capOf, gradeUnder, reason, REASONS, sortReasons, type ReasonCode } from './reasons.ts'

const codes = Object.keys(REASONS) as ReasonCode[]

suite('the table of reasons', () => {
  test('is what docs/grades.md tells the operator', () => {
    const page = readFileSync(new URL('../../docs/grades.md', import.meta.url), 'utf8')
    const table = page.slice(page.indexOf('## Reasons'))
    const rows = table.split('\n').filter((line) => line.startsWith('| `'))
    assert.deepEqual(rows, codes.map((code) => {
      const { cap, says, raise } = REASONS[code]
      const told = raise === '' ? 'Nothing to raise.' : raise
      return `| \`${code}\` | ${cap} | ${says.replace('{}', '…')} | ${told} |`
    }))
  })

  test('says for each reason that lowers a grade what would raise it', () => {
    for (const code of codes) {
      assert.equal(REASONS[code].raise === '', capOf(code) === 'application', code)
    }
  })

  test('is of plain sentences, with and without a subject', () => {
    for (const code of codes) {
      for (const subject of ['', 'disk vda']) {
        assert.match(reason(code, subject).sentence, /^[A-Z][^{}]*\.$/, code)
      }
    }
  })
})

test('a foreign subject is made harmless and cannot rewrite the sentence', () => {
  const { sentence } = reason('freeze-failed', 'a\u001b[2J $& {} b.')
  assert.equal(sentence, 'The guest could not be frozen: a\\x1b[2J $& {} b.')
})

test('more reasons never leave a higher grade', () => {
  for (const first of codes) {
    for (const second of codes) {
      const one = gradeUnder([reason(first)])
      assert.ok(!isWeaker(one, gradeUnder([reason(first), reason(second)])))
    }
  }
  assert.equal(gradeUnder([]), 'application')
})

test('the binding reasons come first and each is given once', () => {
  const sorted = sortReasons([
    reason('clean-image'), reason('no-writer', 'a'), reason('paused'), reason('no-writer', 'a'),
    reason('no-writer', 'b')])
  assert.deepEqual(sorted.map(({ code, subject }) => `${code} ${subject}`.trim()),
    ['paused', 'no-writer a', 'no-writer b', 'clean-image'])
})

test('grades are ordered from torn to application', () => {
  assert.deepEqual(GRADES.toReversed().toSorted((a, b) => isWeaker(a, b) ? -1 : 1), [...GRADES])
  assert.equal(weakest(['application', 'crash', 'filesystem']), 'crash')
})
