/** What a confined program cannot do. */

import assert from 'node:assert/strict'
import { chown, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { canConfine, NOBODY, runConfined } from './confined.ts'

const signal = new AbortController().signal
const skip = canConfine() ? false : 'only root can confine a program'

test('it has no rights, no network, no keys and no room', { skip }, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'stillpoint-confined-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  await writeFile(join(folder, 'key'), 'secret', { mode: 0o600 })
  await chown(folder, NOBODY, NOBODY)
  process.env['RESTIC_PASSWORD'] = 'secret'
  t.after(() => { delete process.env['RESTIC_PASSWORD'] })
  // No shell: how many processes it may have counts all of that account on this host.
  const ask = async (program: string, ...args: readonly string[]): Promise<string> => {
    const { stdout } = await runConfined(program, args, folder, signal)
    return Buffer.from(stdout).toString().trim()
  }
  const refused = (program: string, ...args: readonly string[]): Promise<void> =>
    assert.rejects(ask(program, ...args), { code: 'program-failed' }, program)
  assert.deepEqual([await ask('id', '-u'), await ask('id', '-G')], [`${NOBODY}`, `${NOBODY}`])
  await refused('cat', 'key')
  assert.doesNotMatch(await ask('env'), /secret/)
  assert.deepEqual((await ask('cat', '/proc/net/dev')).match(/^ *\w+:/gm), ['    lo:'])
  assert.match(await ask('grep', '-E', '^Cap(Eff|Prm|Bnd)|^NoNewPrivs', '/proc/self/status'),
    /^CapPrm:\t0+\nCapEff:\t0+\nCapBnd:\t0+\nNoNewPrivs:\t1$/)
  await ask('touch', 'here')
  await refused('dd', 'if=/dev/zero', 'of=large', 'bs=64M', 'count=9')
  await refused('tail', '-c', '700M', '/dev/zero') // keeps all of it in memory
})

test('it ends with the signal', { skip }, async () => {
  const stop = new AbortController()
  const running = runConfined('sleep', ['1000'], tmpdir(), stop.signal)
  stop.abort(new Error('enough'))
  await assert.rejects(running, /enough/)
})
