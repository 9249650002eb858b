import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MARK, markedProcess, processMark, processStart } from './process-mark.ts'

const here = { host: 'id db-backup', boot: 'b1', space: 'pid:[1]' }
const starts: Readonly<Record<number, string>> = { 7: '70', 4_194_304: '99999999999' }
const startOf = (pid: number): string => starts[pid] ?? ''

test('a mark tells whether its process lives, as far as that can be told from here', () => {
  const fate = (of: object, pid = 7, start = '70'): string => markedProcess(
    processMark(pid, { ...here, ...of }, () => start), here, startOf)
  assert.equal(fate({}), 'alive')
  assert.equal(fate({}, 4_194_304, '99999999999'), 'alive')
  assert.equal(fate({}, 7, '71'), 'gone') // another process has that number now
  assert.equal(fate({}, 8, '80'), 'gone')
  assert.equal(fate({}, 8, ''), 'gone')
  assert.equal(fate({ boot: 'b2' }), 'gone')
  assert.equal(fate({ boot: 'b2', space: 'pid:[2]' }), 'gone')
  assert.equal(fate({ space: 'pid:[2]' }), 'elsewhere')
  assert.equal(fate({ host: 'id other' }), 'elsewhere')
  assert.equal(fate({ host: 'id other', boot: 'b2' }), 'elsewhere')
})

test('where processes cannot be told apart, all are elsewhere', () => {
  const nowhere = { host: '', boot: '', space: '' }
  assert.equal(markedProcess(processMark(7, nowhere, () => ''), nowhere, () => ''), 'elsewhere')
})

test('this process is alive, and its mark is short', () => {
  assert.match(processMark(), new RegExp(`^${MARK}$`))
  assert.equal(markedProcess(processMark()), 'alive')
  assert.ok(processMark(4_194_304, here, () => '99999999999').length <= 31)
  assert.match(processStart(process.pid), /^\d+$/)
})
