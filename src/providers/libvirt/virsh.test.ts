/** The shell against a `virsh` of our own, with and without readline, and hostile ones. */

import assert from 'node:assert/strict'
import { chmod, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { systemClock } from '../../base/clock.ts'
import { systemRandom } from '../../base/random.ts'
import { temporaryFolder } from '../testing/mod.ts'
import { Virsh } from './virsh.ts'

const signal = new AbortController().signal

/** A virsh whose commands are the cases of `commands`, in the shell's words. */
async function fakeVirsh(t: TestContext, commands: string, hasReadline = true): Promise<Virsh> {
  const folder = await temporaryFolder()
  const before = process.env['PATH']
  process.env['PATH'] = `${folder.path}:${before}`
  const show = hasReadline ? `printf 'virsh # %s\\n' "$line"` : `printf 'virsh # '`
  await writeFile(join(folder.path, 'virsh'), `#!/bin/sh
while IFS= read -r line; do
  ${show}
  case "$line" in
    'echo sp-"'*) line=\${line#'echo sp-"'}; printf 'sp-%s' "\${line%'"'}" ;;
    ${commands}
    *) echo "error: unknown command: '$line'" >&2 ;;
  esac
done
printf 'virsh # \\n'
`)
  await chmod(join(folder.path, 'virsh'), 0o755)
  const virsh = new Virsh('qemu:///system', systemClock, systemRandom)
  t.after(async () => {
    process.env['PATH'] = before
    await virsh[Symbol.asyncDispose]()
    await folder[Symbol.asyncDispose]()
  })
  return virsh
}

for (const hasReadline of [true, false]) {
  test(`answers are told apart, ${hasReadline ? 'with' : 'without'} readline`, async (t) => {
    const virsh = await fakeVirsh(t, `
      list) printf 'one\\ntwo\\n' ;;
      quiet) ;;
      talk) printf 'virsh # x\\nsp-0\\n' ;;
      bad) printf 'half\\n'; echo 'error: no good' >&2; echo 'error: internal error: y' >&2 ;;
      again) echo 'error: Reconnected to the hypervisor' >&2; echo fine ;;`, hasReadline)
    const [list, quiet, bad, talk, again] = await Promise.allSettled(
      ['list', 'quiet', 'bad', 'talk', 'again'].map((word) => virsh.run([word], signal)))
    assert.deepEqual(list, { status: 'fulfilled', value: 'one\ntwo\n' })
    assert.deepEqual(quiet, { status: 'fulfilled', value: '' })
    assert.deepEqual(talk, { status: 'fulfilled', value: 'virsh # x\nsp-0\n' })
    assert.deepEqual(again, { status: 'fulfilled', value: 'fine\n' })
    assert.ok(bad?.status === 'rejected')
    assert.equal(String(bad.reason),
      'Fault: libvirt refused: no good; internal error: y')
  })
}

test('a program that ends, hangs, or prints without end is a fault, and the next call works',
  async (t) => {
    const virsh = await fakeVirsh(t, `
      end) echo 'error: failed to connect to the hypervisor' >&2
           echo 'error: authentication unavailable' >&2; exit 1 ;;
      hang) sleep 1000 ;;
      flood) yes ;;
      floods) yes >&2 ;;
      fine) echo fine ;;`)
    await assert.rejects(virsh.run(['end'], signal),
      { code: 'platform-unreachable', message: /authentication/, advice: /group libvirt/ })
    await assert.rejects(virsh.run(['hang'], signal, { limitMs: 100 }), { code: 'timed-out' })
    await assert.rejects(virsh.run(['flood'], signal), { code: 'platform-protocol' })
    await assert.rejects(virsh.run(['floods'], signal), { code: 'platform-protocol' })
    const reason = new Error('changed my mind')
    await assert.rejects(virsh.run(['fine'], AbortSignal.abort(reason)), reason)
    assert.equal(await virsh.run(['fine'], signal), 'fine\n')
  })

test('no name becomes a command, an option or a second line', async (t) => {
  const virsh = await fakeVirsh(t, `say*) printf '%s\\n' "$line" ;;`)
  assert.equal(await virsh.run(['say', `it's "a"; b\\ #c`], signal),
    `say 'it'\\''s "a"; b\\ #c'\n`)
  for (const name of ['a\nb', 'a\tb', 'a\u0000', 'a\u001b[0m']) {
    await assert.rejects(virsh.run(['say', name], signal), { code: 'platform-refused' })
  }
})
