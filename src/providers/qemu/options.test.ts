import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseQemuTarget } from './options.ts'

test('what --on says is parsed, with doubled commas as on QEMU\u2019s command line', () => {
  assert.deepEqual(parseQemuTarget('qmp=/run/a.sock'), { qmp: '/run/a.sock' })
  assert.deepEqual(
    parseQemuTarget('qmp=/a,,b,agent=/c=d,guardian-qmp=/e,name=db 1,scratch=/var/tmp/x'),
    { qmp: '/a,b', agent: '/c=d', guardianQmp: '/e', name: 'db 1', scratchDir: '/var/tmp/x' })
})

test('what cannot be understood is a usage fault with the form as advice', () => {
  const rows = [
    '', 'qmp', 'qmp=', 'agent=/a', 'qmp=/a,qmp=/b', 'qmp=/a,colour=red', 'qmp=/a,',
    `qmp=/${'x'.repeat(107)}`,
  ]
  for (const row of rows) {
    assert.throws(
      () => parseQemuTarget(row), { code: 'usage', advice: /^Write qemu:qmp=PATH/ }, row)
  }
})
