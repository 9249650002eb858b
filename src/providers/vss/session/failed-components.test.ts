import assert from 'node:assert/strict'
import { test } from 'node:test'
import { describeFailed, failedInWords } from './failed-components.ts'
import { S_OK, VSS_E } from './hresult.ts'
import { MAX_MESSAGE_UNITS, type FailedComponent } from './transport.ts'

const SALES: FailedComponent = {
  component: { type: 'database', logicalPath: 'HOST1', name: 'sales' },
  failure: VSS_E.WRITERERROR_TIMEOUT, applicationFailure: 0x80040e14, messages: ['the log is full'],
}

test('a component that failed is told by its path, its codes and its words', () => {
  assert.equal(describeFailed(SALES), 'HOST1\\sales failed: 0x800423f2 WRITERERROR_TIMEOUT, ' +
    'the application\'s own 0x80040e14, "the log is full"')
  assert.equal(describeFailed({ ...SALES, failure: S_OK, applicationFailure: S_OK, messages: [] }),
    'HOST1\\sales failed')
  assert.equal(describeFailed({ ...SALES, failure: S_OK, applicationFailure: S_OK,
    component: { ...SALES.component, logicalPath: null } }), 'sales failed: "the log is full"')
})

test('of many the first are told, and how many more there are', () => {
  assert.equal(failedInWords(undefined), '')
  assert.equal(failedInWords([]), '')
  const many = Array.from({ length: 7 }, (_, at) =>
    ({ ...SALES, component: { ...SALES.component, name: `${at}` }, messages: [] }))
  const words = failedInWords(many)
  assert.match(words, /^; HOST1\\0 failed: .*HOST1\\4 failed: .*; and 2 more$/)
  assert.ok(!words.includes('HOST1\\5'))
})

test('words of a hostile writer are harmless and bounded', () => {
  const endless = '\u202e\u001b[2J'.repeat(MAX_MESSAGE_UNITS / 5)
  const hostile: FailedComponent = {
    component: { type: 'filegroup', logicalPath: endless, name: endless },
    failure: 0xffffffff, applicationFailure: 0xffffffff, messages: [endless, endless, endless] }
  const many = Array.from({ length: 1000 }, () => hostile)
  for (const words of [describeFailed(hostile), failedInWords(many)]) {
    assert.ok(words.length < 1100, `${words.length}`)
    // eslint-disable-next-line no-control-regex
    assert.doesNotMatch(words, /[\u0000-\u001f\u202e]/)
  }
})
