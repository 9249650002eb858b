import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import { cpioArchive } from './cpio.ts'

test('the archive holds what was put in, as cpio reads it', (t) => {
  const archive = cpioArchive([
    { path: 'bin', content: { kind: 'folder' } },
    { path: 'bin/run', content: { kind: 'file', bytes: Buffer.from('odd'), executable: true } },
    { path: 'bin/go', content: { kind: 'link', target: 'run' } },
  ])
  let listed = ''
  try {
    listed = execFileSync('cpio', ['-tv'], {
      input: archive, encoding: 'utf8', stdio: ['pipe', 'pipe', 'ignore'] })
  } catch {
    return t.skip('cpio is missing')
  }
  assert.match(listed, /^drwxr-xr-x .* bin$/m)
  assert.match(listed, /^-rwxr-xr-x .* 3 .* bin\/run$/m)
  assert.match(listed, /^lrwxrwxrwx .* bin\/go -> run$/m)
})

test('equal content gives equal bytes, in multiples of four', () => {
  const make = (): Uint8Array => cpioArchive([
    { path: 'a', content: { kind: 'file', bytes: Buffer.from('x'), executable: false } }])
  assert.deepEqual(make(), make())
  assert.equal(make().length % 4, 0)
})
