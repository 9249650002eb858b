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
  const ask = async (script: string): Promise<string> => {
    const { stdout } = await runConfined('sh', ['-c', script], folder, signal)
    return Buffer.from(stdout).toString().trim()
  }
  assert.equal(await ask('id -u; id -G'), `${NOBODY}\n${NOBODY}`)
  assert.equal(await ask('cat key 2>/dev/null || echo no'), 'no')
  assert.equal(await ask('env | grep -c secret || true'), '0')
  assert.deepEqual((await ask('tail -n +3 /proc/net/dev | cut -d: -f1')).split(/\s+/), ['lo'])
  assert.match(await ask('grep -E "^Cap(Eff|Prm|Bnd)|^NoNewPrivs" /proc/self/status'),
    /^CapPrm:\t0+\nCapEff:\t0+\nCapBnd:\t0+\nNoNewPrivs:\t1$/)
  assert.equal(await ask('echo mine >here && cat here'), 'mine')
  await assert.rejects(
    ask('exec dd if=/dev/zero of=large bs=64M count=9 2>/dev/null'), { code: 'program-failed' })
  await assert.rejects(
    ask('exec tail -c 700M /dev/zero'), { code: 'program-failed' }, 'memory has a limit')
})

test('it ends with the signal', { skip }, async () => {
  const stop = new AbortController()
  const running = runConfined('sh', ['-c', 'exec sleep 1000'], tmpdir(), stop.signal)
  stop.abort(new Error('enough'))
  await assert.rejects(running, /enough/)
})
