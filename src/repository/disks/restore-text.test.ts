import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { restoreText } from './restore-text.ts'

test('each disk has its command and its size', () => {
  const text = restoreText({ machine: 'db1', disks: [
    { id: 'vda', sizeBytes: 10_737_418_240 }, { id: 'vdb', sizeBytes: 512 } ] })
  assert.match(text, /restic dump "\$ID" \/disks\/vda \| tar -xOf - \|\n/)
  assert.match(text, /truncate -s 10737418240 \.\/vda\.raw\n/)
  assert.match(text, /truncate -s 512 \.\/vdb\.raw\n/)
  assert.ok(text.split('\n').every((line) => line.length <= 100))
})

test('a machine name cannot leave its quotes', () => {
  const text = restoreText({ machine: "x'; rm -rf /; '\n$(reboot)", disks: [] })
  assert.ok(text.includes(`--host 'x'\\''; rm -rf /; '\\''\\x0a$(reboot)'\n`))
})

test('a disk id that could be anything else is a defect of the caller', () => {
  for (const id of ['', '..', 'a/b', 'a b', '-x;', 'a'.repeat(65)]) {
    assert.throws(
      () => restoreText({ machine: 'x', disks: [{ id, sizeBytes: 1 }] }), assert.AssertionError)
  }
})
