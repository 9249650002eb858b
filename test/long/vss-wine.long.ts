/**
 * VSS by its real binary interface: what stands in `test/windows/*.wine.ts` runs in Node for
 * Windows under wine, against a vssapi.dll of the test's own.
 */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { ROOT } from '../../tools/source-tree.ts'
import { testFolder } from '../system/rig.ts'

const LIMIT_MS = 40 * 60_000
const files = readdirSync(join(ROOT, 'test/windows')).filter((name) => name.endsWith('.wine.ts'))

test('a Windows of wine is made', () => {
  const built = spawnSync('tools/windows/build.sh', { cwd: ROOT, encoding: 'utf8' })
  assert.equal(built.status, 0, `${built.stdout}${built.stderr}`)
})

for (const name of files) {
  test(`test/windows/${name} passes under wine`, async (t) => {
    const output = join(await testFolder(t), 'output')
    const file = openSync(output, 'w') // Node for Windows cannot write to pipes of Linux
    const { NODE_TEST_CONTEXT: _ours, ...env } = process.env
    const result = spawnSync('tools/windows/node.sh',
      ['--test-reporter=tap', `test/windows/${name}`],
      { cwd: ROOT, env, stdio: ['ignore', file, file], timeout: LIMIT_MS, killSignal: 'SIGKILL' })
    closeSync(file)
    const text = readFileSync(output, 'utf8')
    t.diagnostic([...text.matchAll(/^ok \d+ - .*/gm)].map(([line]) => line).join('\n'))
    assert.equal(result.status, 0, text)
    assert.match(text, /^# pass [1-9]\d*$/m)
    assert.match(text, /^# (?:skipped|cancelled|todo) 0$/m)
    assert.doesNotMatch(text, /^# (?:skipped|cancelled|todo|fail) [1-9]/m)
  })
}
